/* SPDX-License-Identifier: MIT */
#include "shell/session/terminal.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

/* RFC 4254 section 8 opcodes; the field says which part of termios a one-bit mode lives in. */
typedef enum ModeKind { MODE_CHARACTER, MODE_INPUT, MODE_LOCAL, MODE_OUTPUT, MODE_CONTROL } ModeKind;

static const struct Mode {
	uint8_t opcode;
	ModeKind kind;
	tcflag_t value; /* index in c_cc, or the bit */
} mode_table[] = {
	{ 1, MODE_CHARACTER, VINTR },
	{ 2, MODE_CHARACTER, VQUIT },
	{ 3, MODE_CHARACTER, VERASE },
	{ 4, MODE_CHARACTER, VKILL },
	{ 5, MODE_CHARACTER, VEOF },
	{ 6, MODE_CHARACTER, VEOL },
	{ 7, MODE_CHARACTER, VEOL2 },
	{ 8, MODE_CHARACTER, VSTART },
	{ 9, MODE_CHARACTER, VSTOP },
	{ 10, MODE_CHARACTER, VSUSP },
	{ 12, MODE_CHARACTER, VREPRINT },
	{ 13, MODE_CHARACTER, VWERASE },
	{ 14, MODE_CHARACTER, VLNEXT },
	{ 18, MODE_CHARACTER, VDISCARD },
	{ 30, MODE_INPUT, IGNPAR },
	{ 31, MODE_INPUT, PARMRK },
	{ 32, MODE_INPUT, INPCK },
	{ 33, MODE_INPUT, ISTRIP },
	{ 34, MODE_INPUT, INLCR },
	{ 35, MODE_INPUT, IGNCR },
	{ 36, MODE_INPUT, ICRNL },
	{ 37, MODE_INPUT, IUCLC },
	{ 38, MODE_INPUT, IXON },
	{ 39, MODE_INPUT, IXANY },
	{ 40, MODE_INPUT, IXOFF },
	{ 41, MODE_INPUT, IMAXBEL },
	{ 42, MODE_INPUT, IUTF8 },
	{ 50, MODE_LOCAL, ISIG },
	{ 51, MODE_LOCAL, ICANON },
	{ 52, MODE_LOCAL, XCASE },
	{ 53, MODE_LOCAL, ECHO },
	{ 54, MODE_LOCAL, ECHOE },
	{ 55, MODE_LOCAL, ECHOK },
	{ 56, MODE_LOCAL, ECHONL },
	{ 57, MODE_LOCAL, NOFLSH },
	{ 58, MODE_LOCAL, TOSTOP },
	{ 59, MODE_LOCAL, IEXTEN },
	{ 60, MODE_LOCAL, ECHOCTL },
	{ 61, MODE_LOCAL, ECHOKE },
	{ 62, MODE_LOCAL, PENDIN },
	{ 70, MODE_OUTPUT, OPOST },
	{ 71, MODE_OUTPUT, OLCUC },
	{ 72, MODE_OUTPUT, ONLCR },
	{ 73, MODE_OUTPUT, OCRNL },
	{ 74, MODE_OUTPUT, ONOCR },
	{ 75, MODE_OUTPUT, ONLRET },
	{ 92, MODE_CONTROL, PARENB },
	{ 93, MODE_CONTROL, PARODD },
};

static void set_bit(tcflag_t *flags, tcflag_t bit, uint32_t on)
{
	*flags = on ? *flags | bit : *flags & ~bit;
}

static void mode_apply(const struct Mode *mode, uint32_t argument, struct termios *tio)
{
	switch (mode->kind) {
	case MODE_CHARACTER:
		/* 255 means: none */
		tio->c_cc[mode->value] = argument == 255 ? _POSIX_VDISABLE : (cc_t)argument;
		break;
	case MODE_INPUT:
		set_bit(&tio->c_iflag, mode->value, argument);
		break;
	case MODE_LOCAL:
		set_bit(&tio->c_lflag, mode->value, argument);
		break;
	case MODE_OUTPUT:
		set_bit(&tio->c_oflag, mode->value, argument);
		break;
	case MODE_CONTROL:
		set_bit(&tio->c_cflag, mode->value, argument);
		break;
	}
}

void terminal_modes(const uint8_t *modes, size_t n, struct termios *tio)
{
	/* opcodes 1-159 have one uint32 argument, 0 ends, others end the reading */
	for (size_t i = 0; i + 5 <= n && modes[i] > 0 && modes[i] < 160; i += 5) {
		uint32_t argument = (uint32_t)modes[i + 1] << 24 | (uint32_t)modes[i + 2] << 16 |
				    (uint32_t)modes[i + 3] << 8 | modes[i + 4];

		for (size_t k = 0; k < ELEMENTSOF(mode_table); k++)
			if (mode_table[k].opcode == modes[i])
				mode_apply(&mode_table[k], argument, tio);
	}
}

static unsigned short size_clamp(uint32_t value)
{
	return value > UINT16_MAX ? UINT16_MAX : (unsigned short)value;
}

int terminal_open(const Identity *identity, const TerminalSize *size, const uint8_t *modes, size_t modes_n,
	int *ret_master_fd, int *ret_slave_fd, char ret_path[static TERMINAL_PATH_MAX])
{
	_cleanup_close_ int master_fd = -EBADF, slave_fd = -EBADF;
	struct winsize window = {
		.ws_col = size_clamp(size->columns),
		.ws_row = size_clamp(size->rows),
		.ws_xpixel = size_clamp(size->width),
		.ws_ypixel = size_clamp(size->height),
	};
	int locked = 0, r;

	/* the slave's inode belongs to whoever opens ptmx (devpts takes the file system uid) */
	r = identity_borrow(identity);
	if (r < 0)
		return r;
	master_fd = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	identity_give_back();
	if (master_fd < 0)
		return -errno;
	if (ioctl(master_fd, TIOCSPTLCK, &locked) < 0)
		return -errno;
	slave_fd = ioctl(master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (slave_fd < 0)
		return -errno;
	if (ptsname_r(master_fd, ret_path, TERMINAL_PATH_MAX) != 0)
		return -errno;
	if (ioctl(master_fd, TIOCSWINSZ, &window) < 0)
		return -errno;
	if (modes_n > 0) {
		struct termios tio;

		if (tcgetattr(slave_fd, &tio) < 0)
			return -errno;
		terminal_modes(modes, modes_n, &tio);
		if (tcsetattr(slave_fd, TCSANOW, &tio) < 0)
			return -errno;
	}
	*ret_master_fd = TAKE_FD(master_fd);
	*ret_slave_fd = TAKE_FD(slave_fd);
	return 0;
}

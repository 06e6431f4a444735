/* SPDX-License-Identifier: MIT */
/* The kernel itself: its log, keys, devices, modules, clocks, and the calls that are more surface than use. */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/keyctl.h>
#include <linux/perf_event.h>
#include <linux/reboot.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/io.h>
#include <sys/ioctl.h>
#include <sys/klog.h>
#include <sys/personality.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/time.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#define OPEN(NAME, PATH, FLAGS)                 \
	static int NAME(const Targets *targets) \
	{                                       \
		return try_open(PATH, FLAGS);   \
	}

OPEN(kmsg_read, "/dev/kmsg", O_RDONLY)
OPEN(kmsg_write, "/dev/kmsg", O_WRONLY)
OPEN(memory_device, "/dev/mem", O_RDONLY)
OPEN(disk_read, targets->disk, O_RDONLY)
OPEN(disk_write, targets->disk, O_WRONLY)
OPEN(console, "/dev/console", O_RDWR)
OPEN(screen_memory, "/dev/vcs1", O_RDONLY)
OPEN(kernel_core, "/proc/kcore", O_RDONLY)
OPEN(sysrq, "/proc/sysrq-trigger", O_WRONLY)
OPEN(core_pattern, "/proc/sys/kernel/core_pattern", O_WRONLY)
OPEN(modprobe_path, "/proc/sys/kernel/modprobe", O_WRONLY)
OPEN(helper, "/sys/kernel/uevent_helper", O_WRONLY)
OPEN(debug, "/sys/kernel/debug", O_RDONLY | O_DIRECTORY)
OPEN(pinned, "/sys/fs/bpf", O_RDONLY | O_DIRECTORY)

static int log_read(const Targets *targets)
{
	char buffer[256];

	return TRY(klogctl(3 /* READ_ALL */, buffer, sizeof(buffer)));
}

static int key_session(const Targets *targets)
{
	return TRY(syscall(SYS_keyctl, KEYCTL_GET_KEYRING_ID, KEY_SPEC_SESSION_KEYRING, 1));
}

static int key_add(const Targets *targets)
{
	return TRY(syscall(SYS_add_key, "user", "probe", "x", 1UL, KEY_SPEC_USER_KEYRING));
}

static int key_request(const Targets *targets)
{
	return TRY(syscall(SYS_request_key, "user", "probe", NULL, KEY_SPEC_PROCESS_KEYRING));
}

static int bpf_map(const Targets *targets)
{
	union bpf_attr attr = { .map_type = BPF_MAP_TYPE_ARRAY, .key_size = 4, .value_size = 4, .max_entries = 1 };

	return TRY(syscall(SYS_bpf, BPF_MAP_CREATE, &attr, sizeof(attr)));
}

static int io_uring(const Targets *targets)
{
	char parameters[120] = { 0 };

	return TRY(syscall(SYS_io_uring_setup, 1U, parameters));
}

static int perf(const Targets *targets)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE, .size = sizeof(attr) };

	return TRY(syscall(SYS_perf_event_open, &attr, 0, -1, -1, 0UL));
}

static int fault_handler(const Targets *targets)
{
	return TRY(syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* user mode only */));
}

static int kexec(const Targets *targets)
{
	return TRY(syscall(SYS_kexec_load, 0UL, 0UL, NULL, 0UL));
}

static int swap_on(const Targets *targets)
{
	return TRY(swapon("/tmp", 0));
}

static int swap_off(const Targets *targets)
{
	return TRY(swapoff("/tmp"));
}

static int restart(const Targets *targets)
{
	/* the one command that would do no harm if it were let through */
	return TRY(syscall(SYS_reboot, LINUX_REBOOT_MAGIC1, LINUX_REBOOT_MAGIC2, LINUX_REBOOT_CMD_CAD_ON, NULL));
}

static int clock_set(const Targets *targets)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return TRY(syscall(SYS_clock_settime, CLOCK_REALTIME, &now));
}

static int time_set(const Targets *targets)
{
	struct timeval now;

	(void)gettimeofday(&now, NULL);
	return TRY(syscall(SYS_settimeofday, &now, NULL));
}

static int clock_adjust(const Targets *targets)
{
	struct timex change = { .modes = ADJ_OFFSET_SINGLESHOT };

	return TRY(syscall(SYS_adjtimex, &change));
}

static int name_set(const Targets *targets)
{
	char name[65];

	return gethostname(name, sizeof(name)) < 0 ? ODD : TRY(sethostname(name, strlen(name)));
}

static int module_load(const Targets *targets)
{
	return TRY(syscall(SYS_init_module, "", 0UL, ""));
}

static int module_remove(const Targets *targets)
{
	return TRY(syscall(SYS_delete_module, "probe_no_such_module", O_NONBLOCK));
}

static int io_level(const Targets *targets)
{
	return TRY(iopl(3));
}

static int io_ports(const Targets *targets)
{
	return TRY(ioperm(0x80, 1, 1));
}

static int accounting(const Targets *targets)
{
	return TRY(syscall(SYS_acct, NULL));
}

static int quota(const Targets *targets)
{
	return TRY(syscall(SYS_quotactl, 0x80000300 /* Q_QUOTAOFF, user */, targets->disk, 0, NULL));
}

static int open_handle(const Targets *targets)
{
	struct {
		unsigned int bytes;
		int type;
		unsigned char data[8];
	} handle = { .bytes = 8, .type = 1 };
	int fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return TRY(syscall(SYS_open_by_handle_at, fd, &handle, O_RDONLY));
}

static int local_descriptors(const Targets *targets)
{
	char buffer[16];

	return TRY(syscall(SYS_modify_ldt, 0, buffer, sizeof(buffer)));
}

static int odd_personality(const Targets *targets)
{
	return TRY(syscall(SYS_personality, (unsigned long)PER_LINUX | READ_IMPLIES_EXEC));
}

/* A terminal of our own that we lead: what the kernel itself lets its owner type into. */
static int own_terminal(void)
{
	int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC), fd;
	char name[64];

	if (setsid() < 0 || master < 0 || unlockpt(master) < 0 || ptsname_r(master, name, sizeof(name)) != 0)
		return -1;
	fd = open(name, O_RDWR | O_NOCTTY | O_CLOEXEC);
	return fd < 0 || ioctl(fd, TIOCSCTTY, 0) < 0 ? -1 : fd;
}

static int terminal_inject(const Targets *targets)
{
	int fd = own_terminal();

	return fd < 0 ? ODD : TRY(ioctl(fd, TIOCSTI, "x"));
}

static int terminal_inject_high(const Targets *targets)
{
	int fd = own_terminal();

	/* the kernel looks at the lower half of the number only, so a filter must, too (CVE-2017-5226, CVE-2019-10063) */
	return fd < 0 ? ODD : TRY(syscall(SYS_ioctl, fd, (1UL << 32) | TIOCSTI, "x"));
}

static int terminal_selection(const Targets *targets)
{
	char what = 2; /* TIOCL_SETSEL */
	int fd = own_terminal();

	return fd < 0 ? ODD : TRY(ioctl(fd, TIOCLINUX, &what));
}

static int call_32(const Targets *targets)
{
	long r;

	__asm__ volatile("int $0x80" : "=a"(r) : "a"(20 /* getpid */) : "memory");
	return r < 0 ? (int)r : 0;
}

static int call_x32(const Targets *targets)
{
	return TRY(syscall(0x40000000 | SYS_getpid));
}

static int device_node(const Targets *targets)
{
	return TRY(mknod("/tmp/probe-device", S_IFBLK | 0600, makedev(254, 0)));
}

static int device_character(const Targets *targets)
{
	return TRY(mknod("/tmp/probe-memory", S_IFCHR | 0600, makedev(1, 1)));
}

const Act acts_kernel[] = {
	{ "kmsg-read", FORBIDDEN, { EPERM, EACCES }, kmsg_read, "the kernel's log tells of everybody" },
	{ "kmsg-write", FORBIDDEN, { EPERM, EACCES }, kmsg_write, "nor can it be written" },
	{ "dmesg", FORBIDDEN, { EPERM }, log_read, "the kernel's log tells of everybody" },
	{ "keyring-session", FORBIDDEN, { EPERM, ENOSYS }, key_session,
		"keyrings outlive limits and are shared by uid" },
	{ "keyring-add", FORBIDDEN, { EPERM, ENOSYS }, key_add, "the same" },
	{ "keyring-request", FORBIDDEN, { EPERM, ENOSYS }, key_request, "the same" },
	{ "bpf", FORBIDDEN, { EPERM }, bpf_map, "code in the kernel" },
	{ "io-uring", FORBIDDEN, { EPERM, ENOSYS }, io_uring, "does what the filter forbids, past the filter" },
	{ "perf", FORBIDDEN, { EPERM, EACCES }, perf, "sees the kernel and others" },
	{ "userfaultfd", FORBIDDEN, { EPERM }, fault_handler, "widens races in the kernel" },
	{ "kexec", FORBIDDEN, { EPERM }, kexec, "another kernel" },
	{ "swap-on", FORBIDDEN, { EPERM }, swap_on, "the machine's memory" },
	{ "swap-off", FORBIDDEN, { EPERM }, swap_off, "the machine's memory" },
	{ "reboot", FORBIDDEN, { EPERM }, restart, "the machine" },
	{ "clock-settime", FORBIDDEN, { EPERM }, clock_set, "the machine's clock" },
	{ "settimeofday", FORBIDDEN, { EPERM }, time_set, "the machine's clock" },
	{ "adjtimex", FORBIDDEN, { EPERM }, clock_adjust, "the machine's clock" },
	{ "sethostname", FORBIDDEN, { EPERM }, name_set, "the machine's name" },
	{ "module-load", FORBIDDEN, { EPERM }, module_load, "code in the kernel" },
	{ "module-remove", FORBIDDEN, { EPERM }, module_remove, "code in the kernel" },
	{ "iopl", FORBIDDEN, { EPERM, ENOSYS }, io_level, "raw devices" },
	{ "ioperm", FORBIDDEN, { EPERM, ENOSYS }, io_ports, "raw devices" },
	{ "accounting", FORBIDDEN, { EPERM, ENOSYS }, accounting, "the machine's" },
	{ "quota-off", FORBIDDEN, { EPERM, EACCES }, quota, "limits of disk" },
	{ "open-by-handle", FORBIDDEN, { EPERM }, open_handle, "files past their folders' rights" },
	{ "modify-ldt", FORBIDDEN, { EPERM, ENOSYS }, local_descriptors, "old and rarely used" },
	{ "personality-odd", FORBIDDEN, { EPERM }, odd_personality, "turns off protections of memory" },
	{ "terminal-inject", FORBIDDEN, { EPERM, EIO }, terminal_inject,
		"types into a terminal that root may share (su)" },
	{ "terminal-inject-high", FORBIDDEN, { EPERM, EIO }, terminal_inject_high,
		"the same with bits that the kernel ignores" },
	{ "terminal-selection", FORBIDDEN, { EPERM, ENOTTY }, terminal_selection, "pastes into a console" },
	{ "call-32-bit", FORBIDDEN, { EPERM, ENOSYS }, call_32, "other numbers for the same calls" },
	{ "call-x32", FORBIDDEN, { EPERM, ENOSYS }, call_x32, "other numbers for the same calls" },
	{ "device-block", FORBIDDEN, { EPERM }, device_node, "no devices of one's own" },
	{ "device-memory", FORBIDDEN, { EPERM }, device_character, "no devices of one's own" },
	{ "disk-read", FORBIDDEN, { EPERM, EACCES }, disk_read, "all files of all users" },
	{ "disk-write", FORBIDDEN, { EPERM, EACCES }, disk_write, "all files of all users" },
	{ "memory-device", FORBIDDEN, { EPERM, EACCES, ENOENT }, memory_device, "the machine's memory" },
	{ "console", FORBIDDEN, { EPERM, EACCES }, console, "the operator's" },
	{ "screen-memory", FORBIDDEN, { EPERM, EACCES, ENOENT }, screen_memory, "what the operator sees" },
	{ "kernel-core", FORBIDDEN, { EPERM, EACCES, ENOENT }, kernel_core, "the kernel's memory" },
	{ "sysrq", FORBIDDEN, { EPERM, EACCES, ENOENT }, sysrq, "the machine" },
	{ "core-pattern", FORBIDDEN, { EPERM, EACCES, ENOENT }, core_pattern, "a program that root would run" },
	{ "modprobe-path", FORBIDDEN, { EPERM, EACCES, ENOENT }, modprobe_path, "a program that root would run" },
	{ "uevent-helper", FORBIDDEN, { EPERM, EACCES, ENOENT }, helper, "a program that root would run" },
	{ "debugfs", FORBIDDEN, { EPERM, EACCES, ENOENT }, debug, "the kernel's inside" },
	{ "bpffs", FORBIDDEN, { EPERM, EACCES, ENOENT }, pinned, "the programs that enforce" },
	{ NULL },
};

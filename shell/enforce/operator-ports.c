/* SPDX-License-Identifier: MIT */
/*
 * An operator who moved OpenSSH by hand must not be shut out by creel's firewall: besides the port that creel.conf names,
 * those that OpenSSH is configured for (it may not run yet: this is asked early at boot) and those that it has open count.
 * Each question may fail - there may be no OpenSSH at all - and then adds nothing; creel.conf's port is always there.
 */
#include "shell/base/file.h"
#include "shell/enforce/firewall.h"
#include "shell/enforce/program.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_PORT 2222 /* [front] operator_port, where creel.conf cannot be read */

void operator_ports_add(OperatorPorts *ports, uint64_t port)
{
	if (port == 0 || port > UINT16_MAX || ports->n == OPERATOR_PORTS_MAX)
		return;
	for (size_t i = 0; i < ports->n; i++)
		if (ports->items[i] == port)
			return;
	ports->items[ports->n++] = (uint16_t)port;
}

/* The number behind the last colon of the first `n` bytes. 0: there is none. */
static uint64_t port_at_end(const char *word, size_t n)
{
	const char *colon = memrchr(word, ':', n);
	uint64_t port = 0;
	char digits[8];

	if (!colon)
		return 0;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)(n - (size_t)(colon + 1 - word)), colon + 1);
	return str_to_u64(digits, UINT16_MAX, &port) < 0 ? 0 : port;
}

typedef void (*LineParser)(OperatorPorts *ports, const char *line, size_t n);

static void each_line(OperatorPorts *ports, const char *text, LineParser parse)
{
	while (*text) {
		size_t n = strcspn(text, "\n");

		parse(ports, text, n);
		text += n + (text[n] == '\n');
	}
}

static void parse_sshd_line(OperatorPorts *ports, const char *line, size_t n)
{
	char number[8];
	uint64_t port;

	if (strncmp(line, "listenaddress ", strlen("listenaddress ")) == 0) {
		operator_ports_add(ports, port_at_end(line, n));
	} else if (strncmp(line, "port ", strlen("port ")) == 0) {
		(void)snprintf(number, sizeof(number), "%.*s", (int)(n - strlen("port ")), line + strlen("port "));
		if (str_to_u64(number, UINT16_MAX, &port) == 0)
			operator_ports_add(ports, port);
	}
}

void operator_ports_parse_sshd(OperatorPorts *ports, const char *text)
{
	each_line(ports, text, parse_sshd_line);
}

/* "[::]:2222 (Stream)" */
static void parse_socket_line(OperatorPorts *ports, const char *line, size_t n)
{
	size_t word = strcspn(line, " \n");

	if (word < n && strncmp(line + word, " (Stream)", strlen(" (Stream)")) == 0)
		operator_ports_add(ports, port_at_end(line, word));
}

void operator_ports_parse_socket(OperatorPorts *ports, const char *text)
{
	each_line(ports, text, parse_socket_line);
}

/*
 * "LISTEN 0 128 0.0.0.0:2222 0.0.0.0:* cgroup:/system.slice/ssh.service". The cgroup is what follows the fifth word, whole:
 * names of cgroups are their makers', agents among them, and may have blanks; their beginning is not.
 */
static void parse_ss_line(OperatorPorts *ports, const char *line, size_t n)
{
	static const char *const owners[] = { "cgroup:/system.slice/ssh.service", "cgroup:/system.slice/sshd.service" };
	const char *at = line, *end = line + n, *address = line;
	size_t address_size = 0;

	for (int field = 0; field < 5; field++) {
		size_t word = strcspn(at, " \n");

		if (field == 3) {
			address = at;
			address_size = word;
		}
		at += word;
		at += strspn(at, " ");
	}
	while (end > at && end[-1] == ' ')
		end--;
	for (size_t i = 0; i < ELEMENTSOF(owners); i++)
		if ((size_t)(end - at) == strlen(owners[i]) && strncmp(at, owners[i], strlen(owners[i])) == 0)
			operator_ports_add(ports, port_at_end(address, address_size));
}

void operator_ports_parse_ss(OperatorPorts *ports, const char *text)
{
	each_line(ports, text, parse_ss_line);
}

/* ---- when they may have changed ---- */

#define STAMP_FILE "/run/creel/ssh-stamp"

static uint64_t mix(uint64_t stamp, const struct stat *st)
{
	const uint64_t facts[] = { st->st_ino, (uint64_t)st->st_size, (uint64_t)st->st_mtim.tv_sec,
		(uint64_t)st->st_mtim.tv_nsec, (uint64_t)st->st_ctim.tv_sec, (uint64_t)st->st_ctim.tv_nsec };

	for (size_t i = 0; i < ELEMENTSOF(facts); i++)
		stamp = (stamp ^ facts[i]) * UINT64_C(1099511628211);
	return stamp;
}

/* Changes with the files that say where OpenSSH listens. */
uint64_t operator_ports_stamp(void)
{
	static const char *const paths[] = { "/etc/ssh/sshd_config", "/etc/ssh/sshd_config.d", "/etc/default/ssh",
		"/etc/systemd/system/ssh.socket.d", "/etc/systemd/system/ssh.service.d",
		"/etc/systemd/system/sockets.target.wants", POLICY_DIR "/creel.conf" };
	uint64_t stamp = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < ELEMENTSOF(paths); i++) {
		_cleanup_closedir_ DIR *dir = opendir(paths[i]);
		const struct dirent *entry;
		uint64_t below = 0;
		struct stat st;

		if (stat(paths[i], &st) == 0)
			stamp = mix(stamp, &st);
		while (dir && (entry = readdir(dir)))
			if (entry->d_name[0] != '.' && fstatat(dirfd(dir), entry->d_name, &st, 0) == 0)
				below += mix(0, &st); /* in whatever order they come */
		stamp ^= below;
	}
	return stamp;
}

bool operator_ports_outdated(void)
{
	char before[32], now[32];

	(void)snprintf(now, sizeof(now), "%016" PRIx64, operator_ports_stamp());
	return file_get_at(AT_FDCWD, STAMP_FILE, before, sizeof(before)) == 0 && strcmp(before, now) != 0;
}

int operator_ports_noted(uint64_t stamp)
{
	char text[32];

	(void)snprintf(text, sizeof(text), "%016" PRIx64 "\n", stamp);
	return file_replace_at(AT_FDCWD, STAMP_FILE, text, strlen(text), 0644);
}

void operator_ports_find(const Policy *machine, OperatorPorts *ret)
{
	static const struct {
		const char *argv[6];
		const char *needs; /* a file without which it is not asked */
		void (*parse)(OperatorPorts *ports, const char *text);
	} questions[] = {
		{ { "/usr/sbin/sshd", "-T", NULL }, "/etc/ssh/sshd_config", operator_ports_parse_sshd },
		{ { "/usr/bin/systemctl", "show", "-P", "Listen", "ssh.socket", NULL },
			"/etc/systemd/system/sockets.target.wants/ssh.socket", operator_ports_parse_socket },
		{ { "/usr/bin/ss", "-Hltn", "--cgroup", NULL }, "/sys/fs/cgroup/system.slice",
			operator_ports_parse_ss },
	};

	operator_ports_add(ret, machine ? machine->operator_port : DEFAULT_PORT);
	/* sshd -T wants its folder, which its unit makes later */
	(void)mkdir("/run/sshd", 0755);
	for (size_t i = 0; i < ELEMENTSOF(questions); i++) {
		_cleanup_free_ char *text = NULL;

		if (access(questions[i].needs, F_OK) == 0 && program_run(questions[i].argv, NULL, &text, NULL) == 0 &&
			text)
			questions[i].parse(ret, text);
	}
}

/* SPDX-License-Identifier: MIT */
/* Births: how they begin and end, what is passed to them, and surroundings and programs that narrow them. */
#include "tests/unit/birth.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

static void test_plain(void **state)
{
	const Asked asked = { .policy = "" };
	Seen seen;

	needs_root();
	seen = run(&asked, "id -u; pwd | wc -l; " OPEN "; exit 3");
	assert_string_equal(seen.text, "60123\n1\n0 1 2 ");
	assert_int_equal(seen.code, CLD_EXITED);
	assert_int_equal(seen.status, 3);
}

/* Its descendants end with it, whatever they do about it. */
static void test_endings(void **state)
{
	Seen seen;

	needs_root();
	seen = run(&independent,
		"(trap '' TERM HUP INT; setsid sleep 1000) >/dev/null 2>&1 & (sleep 1000 &) >/dev/null 2>&1; exit 7");
	assert_int_equal(seen.code, CLD_EXITED);
	assert_int_equal(seen.status, 7);
	seen = run(&independent, "kill -SEGV $$");
	assert_int_not_equal(seen.code, CLD_EXITED);
	assert_int_equal(seen.status, SIGSEGV);
	/* strays are waited for: none is left as a zombie */
	seen = run(&independent,
		"(sh -c 'exec sh -c \"exit 1\"' &); (true &); for i in 1 2 3 4 5 6 7 8 9 10; do sleep 0.1; "
		"grep -l 'State:.Z' /proc/[0-9]*/status >/dev/null 2>&1 || break; done; echo $i | grep -c 10");
	assert_string_equal(seen.text, "0\n");
}

static void test_interrupt(void **state)
{
	const Asked asked = { .view = true, .interrupt = 1 };
	Seen seen;

	needs_root();
	seen = run(&asked, "trap 'echo caught; exit 5' INT; echo; while :; do sleep 0.1; done");
	assert_string_equal(seen.text, "caught\n");
	assert_int_equal(seen.status, 5);
}

static const char network_script[] =
	"python3 - <<'.'\n"
	"import socket\n"
	"print([name for _, name in socket.if_nameindex()])\n"
	"s = socket.create_server(('127.0.0.1', 0)); c = socket.create_connection(s.getsockname()); print('own')\n"
	"c = socket.socket(); c.settimeout(5)\n"
	"try: c.connect(('192.0.2.1', 9))\n"
	"except OSError as e: print(e.errno)\n"
	"try: socket.create_connection(('127.0.0.1', PORT))\n"
	"except OSError as e: print(e.errno)\n"
	".\n";

static void test_no_network(void **state)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	char script[1024], *port = strstr(network_script, "PORT");
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t n = sizeof(address);

	needs_root();
	assert_int_equal(bind(listener, (struct sockaddr *)&address, n), 0);
	assert_int_equal(listen(listener, 8), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &n), 0);
	(void)snprintf(script, sizeof(script), "%.*s%u%s", (int)(port - network_script), network_script,
		ntohs(address.sin_port), port + 4);
	for (int view = 0; view < 2; view++) {
		const Asked asked = { .view = view, .own_network = true, .closed_doors = true };
		Seen seen = run(&asked, script);

		assert_ran(seen, "['lo']\nown\n101\n111\n");
	}
	(void)close(listener);
}

static void test_directory(void **state)
{
	const Asked missing = { .view = true, .directory = "/run/systemd" },
		    there = { .view = true, .directory = "/usr/share" };
	Seen seen;

	needs_root();
	seen = run(&missing, "pwd");
	assert_int_equal(seen.status, BIRTH_EXIT_DIRECTORY);
	assert_string_equal(seen.text, "creel: /run/systemd: No such file or directory\n");
	seen = run(&there, "pwd");
	assert_ran(seen, "/usr/share\n");
}

static void test_passed(void **state)
{
	Seen seen;
	int fd;

	needs_root();
	fd = memfd_create("code", MFD_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, "echo passed", 11), 11);
	for (int view = 0; view < 2; view++) {
		const Asked asked = { .view = view, .third_fd = fd, .own_network = view };

		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		seen = run(&asked, "cat <&3; echo; " OPEN "; true");
		assert_ran(seen, "echo passed\n0 1 2 3 ");
	}
	(void)close(fd);
}

/* A program as its code is none that it can execute, where it is a copy. */
static void test_copied(void **state)
{
	static const char script[] =
		"(exec /proc/self/fd/3 copied) 2>&1 | grep -o -e copied -e 'Permission denied'; chmod 755 "
		"/proc/self/fd/3 2>/dev/null && echo changed; echo x 2>/dev/null >/proc/self/fd/3 && echo written; "
		"echo x 2>/dev/null >&3 && echo written; "
		"head -c 4 <&3 | tail -c 3";
	int fd, program;

	needs_root();
	program = open("/bin/echo", O_RDONLY | O_CLOEXEC);
	fd = memfd_create("code", MFD_CLOEXEC);
	while (sendfile(fd, program, NULL, 1 << 20) > 0)
		;
	assert_int_equal(fchmod(fd, 0777), 0);
	for (int copy = 1; copy >= 0; copy--) {
		const Asked asked = { .third_fd = fd, .copy_third = copy };
		Seen seen;

		assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
		seen = run(&asked, script);
		if (!strstr(seen.text, copy ? "Permission denied\nELF" : "copied\n") ||
			(copy && (strstr(seen.text, "changed") || strstr(seen.text, "written"))))
			fail_msg("%s", seen.text);
	}
	(void)close(fd);
	(void)close(program);
}

/* [exec] lists on top of [commands]: what either refuses is refused. */
static void test_bash(void **state)
{
	static const char script[] =
		"for c in cat head tail; do $c /etc/hostname >/dev/null 2>&1 && echo $c; done; /bin/true; "
		"/lib64/ld-linux-x86-64.so.2 /bin/tail /etc/hostname >/dev/null 2>&1 && echo loader; echo end";
	static const struct {
		const char *policy, *seen;
	} rows[] = {
		{ "[exec]\nbash_allow = cat, head\n", "cat\nhead\nend\n" },
		{ "[exec]\nbash_deny = tail\n", "cat\nhead\nend\n" },
		{ "[exec]\nbash_allow = cat, head\n[commands]\ndeny = head\n", "cat\nend\n" },
		{ "[exec]\nbash_allow = cat, head\n[commands]\nallow = cat, tail\n", "cat\nend\n" },
	};

	needs_root();
	for (size_t i = 0; i < ELEMENTSOF(rows); i++)
		for (int view = 0; view < 2; view++) {
			const Asked asked = { .view = view, .bash = true, .policy = rows[i].policy };
			Seen seen = run(&asked, script);
			char *line;

			while ((line = strstr(seen.text, "bash: line")))
				memmove(line, strchr(line, '\n') + 1, strlen(strchr(line, '\n') + 1) + 1);
			assert_ran(seen, rows[i].seen);
		}
}

static void test_bash_interpreter(void **state)
{
	Policy *policy = policy_of("[exec]\nbash_deny = bash\n");
	const ConfinementRequest request = { .policy = policy, .uid = AGENT, .gid = AGENT, .home = home, .bash = true };
	Confinement confinement = CONFINEMENT_NONE;
	PolicyError error = { "" };

	needs_root();
	assert_int_equal(confinement_prepare(&request, &confinement, &error), -EINVAL);
	if (!strstr(error.text, "[exec] bash_deny") || !strstr(error.text, "is the interpreter, /bin/bash"))
		fail_msg("%s", error.text);
	policy_free(policy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_no_network),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_copied),
		cmocka_unit_test(test_bash),
		cmocka_unit_test(test_bash_interpreter),
	};

	return cmocka_run_group_tests(tests, birth_setup, birth_teardown);
}

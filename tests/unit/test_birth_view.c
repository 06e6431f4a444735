/* SPDX-License-Identifier: MIT */
/* Births with a view of their own: the files and processes that they see, what they may do with them, and what is left. */
#include "tests/unit/birth.h"

#include "shell/base/privilege.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static void test_home(void **state)
{
	Seen seen;

	needs_root();
	seen = run(&independent,
		"cat file; pwd; echo new > file; echo more >> workspace/made; mv folder gone; mkdir folder; "
		"ls folder | wc -l; rm -r gone; cat file; stat -c %a:%u .; echo stays > workspace/output/made");
	if (!strstr(seen.text, home))
		fail_msg("%s", seen.text);
	*strchr(strstr(seen.text, home), '\n') = ' ';
	assert_int_equal(strncmp(seen.text, "old\n", 4), 0);
	if (!strstr(seen.text, "0\nnew\n700:60123\n"))
		fail_msg("%s", seen.text);
	/* nothing of it was done, but for the output folder */
	shell("test \"$(cat %s/file)\" = old -a -f %s/folder/inner -a ! -e %s/workspace/made", home, home, home);
	shell("test \"$(cat %s/made)\" = stays -a \"$(stat -c %%u %s)\" = %u", output, output, AGENT);
}

static void test_places(void **state)
{
	char script[1024];
	Seen seen;

	needs_root();
	shell("touch /tmp/creel-birth-mine /dev/shm/creel-birth-mine && chmod 666 /tmp/creel-birth-mine "
	      "/dev/shm/creel-birth-mine");
	(void)snprintf(script, sizeof(script),
		"ls %s; ls -d /tmp/* /var/tmp/* /dev/shm/* /home/* /run/creel /run/dbus /run/systemd 2>/dev/null; "
		"for f in /tmp /var/tmp /dev/shm /run/user/60123; do echo x > $f/creel-birth-x || echo $f; done; "
		"ls -A /run/user; mktemp -u >/dev/null && cat /sys/fs/cgroup/cgroup.procs | wc -w; cat "
		"/proc/self/cgroup | grep 0::; "
		"test -s /etc/resolv.conf && echo names",
		root);
	seen = run(&independent, script);
	shell("rm /tmp/creel-birth-mine /dev/shm/creel-birth-mine; test ! -e /tmp/creel-birth-x -a ! -e "
	      "/var/tmp/creel-birth-x -a ! -e "
	      "/dev/shm/creel-birth-x");
	assert_int_equal(seen.code, CLD_EXITED);
	if (strncmp(seen.text, "home\n60123\n", 11) != 0 || !strstr(seen.text, "\n0::/\nnames\n"))
		fail_msg("%s", seen.text);
}

/* What every attempt must end with is on its line; the shell says OK where it worked. */
static void test_escapes(void **state)
{
	static const char script[] = "t() { \"$@\" >/dev/null 2>&1 && echo \"OK: $*\"; }\n"
				     "t mount -t tmpfs none /mnt; t mount -o remount,rw /; t umount /proc; t umount -l "
				     "\"$HOME\"; t unshare -m true\n"
				     "t unshare -U true; t unshare -Un true; t nsenter -t 1 -m true; t nsenter -t 1 -n "
				     "true; t chroot / true; t mknod d c 1 3\n"
				     "t touch /etc/x; t touch /proc/self/root/etc/x; t touch /proc/1/root/x; t ls "
				     "/proc/1/root; t ls /proc/1/fd\n"
				     "t cat /proc/1/mem; t cat /proc/1/environ; t cat /proc/1/maps; t kill -9 1 && t "
				     "kill -0 1 || echo gone\n"
				     "t mkdir /sys/fs/cgroup/x; t sh -c 'echo $$ > /sys/fs/cgroup/cgroup.procs'; t sh "
				     "-c 'echo max > /sys/fs/cgroup/memory.max'\n"
				     "t sh -c 'echo 1 > /sys/fs/cgroup/cgroup.kill'; t sh -c 'echo x > "
				     "/proc/sys/kernel/hostname'; t hostname other\n"
				     "t sh -c 'echo x > /proc/sysrq-trigger'; t ls /proc/1/cwd; t cat %s/neighbour; t "
				     "ls %s/neighbour; t ls %s/secret\n"
				     "set -- /proc/[0-9]*; echo $#\n";
	char text[2048];
	Seen seen;

	needs_root();
	shell("chmod 777 %s/neighbour", root);
	(void)snprintf(text, sizeof(text), "%s", script);
	for (char *at = text; (at = strstr(at, "%s/"));) {
		char rest[1024];

		(void)snprintf(rest, sizeof(rest), "%s", at + 2);
		(void)snprintf(at, sizeof(text) - (size_t)(at - text), "%s%s", root, rest);
	}
	seen = run(&independent, text);
	/* kill(1) of process 1 is a success, and does nothing: the last line counts it and the shell */
	assert_ran(seen, "OK: kill -9 1\nOK: kill -0 1\n2\n");
}

static void test_tracing(void **state)
{
	Seen seen;

	needs_root();
	seen = run(&independent, "python3 - <<'.'\n"
				 "import ctypes, os\n"
				 "c = ctypes.CDLL(None, use_errno=True)\n"
				 "print(c.ptrace(16, 1, 0, 0), ctypes.get_errno())\n" /* PTRACE_ATTACH */
				 "fd = os.pidfd_open(1)\n"
				 "print(c.syscall(438, fd, 4, 0), ctypes.get_errno())\n"      /* pidfd_getfd */
				 "print(c.syscall(428, -100, b'/', 1), ctypes.get_errno())\n" /* open_tree */
				 ".\n");
	assert_ran(seen, "-1 1\n-1 1\n-1 1\n");
}

static void test_scratch(void **state)
{
	const Asked asked = { .view = true, .scratch = 4 * MIB };
	Seen seen;

	needs_root();
	seen = run(&asked, "for f in /tmp/x big; do head -c 5000000 /dev/zero 2>/dev/null > $f 2>&1; stat -c %s $f | "
			   "wc -c; rm $f; done; "
			   "head -c 5000000 /dev/zero > workspace/output/big && echo whole; rm workspace/output/big");
	if (!strstr(seen.text, "No space left"))
		assert_ran(seen, "8\n8\nwhole\n");
}

/* One that the agent listens on in its home is there, and nobody listens there; in the output folder it is the agent's own doing. */
static void test_sockets(void **state)
{
	static const char script[] =
		"python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect(\"door\")' 2>&1 | tail -n 1; "
		"test -S door && echo seen";
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	Seen seen;
	int fd;

	needs_root();
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/door", home);
	assert_int_equal(privilege_raise(PRIVILEGE(CAP_DAC_OVERRIDE)), 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(privilege_lower(PRIVILEGE(CAP_DAC_OVERRIDE)), 0);
	assert_int_equal(listen(fd, 8), 0);
	shell("chmod 777 %s", address.sun_path);
	seen = run(&independent, script);
	assert_ran(seen, "ConnectionRefusedError: [Errno 111] Connection refused\nseen\n");
	(void)close(fd);
	shell("rm %s", address.sun_path);
}

static void test_hidden(void **state)
{
	const Asked asked = { .view = true, .policy = "[files]\nhidden = /etc/passwd, /usr/share/doc\n" };
	Seen seen;

	needs_root();
	seen = run(&asked, "cat /etc/passwd; ls /usr/share/doc; cat /etc/hostname >/dev/null && ls /usr/lib >/dev/null "
			   "&& echo rest");
	if (strstr(seen.text, "root:") || !strstr(seen.text, "rest\n") ||
		!strstr(seen.text, "passwd: Permission denied"))
		fail_msg("%s", seen.text);
}

/* An output folder that a link replaced is not followed: then there is no run. */
static void test_output_link(void **state)
{
	Seen seen;

	needs_root();
	shell("rm -rf %s && ln -s %s/neighbour %s", output, root, output);
	seen = run(&independent, "echo began");
	shell("rm %s", output);
	assert_int_equal(seen.status, BIRTH_EXIT_CONFINEMENT);
	if (!strstr(seen.text, "output folder"))
		fail_msg("%s", seen.text);
}

/* Where code of another system leaves its files; somebody else's folder of that name is not in the way. */
static void test_output_seen_as(void **state)
{
	const Asked asked = { .view = true, .policy = "[output]\nseen_as = /tmp/creel-birth/out, /dev/shm/out\n" };
	Seen seen;

	needs_root();
	shell("mkdir -m 700 /tmp/creel-birth && touch /tmp/creel-birth/theirs");
	seen = run(&asked,
		"echo one > /tmp/creel-birth/out/one; echo two > /dev/shm/out/two; ls ~+/workspace/output; ls "
		"/tmp/creel-birth; mv /tmp/creel-birth/out/one /tmp/one; echo gone > /tmp/creel-birth/other");
	shell("ls /tmp/creel-birth/theirs && test ! -e /tmp/creel-birth/other && rm -r /tmp/creel-birth");
	assert_ran(seen, "one\ntwo\nout\n");
	shell("test \"$(cat %s/two)\" = two -a ! -e %s/one && rm %s/two", output, output, output);
}

/* No mount of a run's is in this process's namespace. */
static void test_nothing_left(void **state)
{
	needs_root();
	shell("! grep -e creel-birth -e overlay.*upperdir=/tmp /proc/self/mounts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_tracing),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_output_link),
		cmocka_unit_test(test_output_seen_as),
		cmocka_unit_test(test_nothing_left),
	};

	return cmocka_run_group_tests(tests, birth_setup, birth_teardown);
}

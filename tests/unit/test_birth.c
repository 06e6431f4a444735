/* SPDX-License-Identifier: MIT */
/*
 * Births with surroundings: each test gives birth to a shell as the keeper would, as another user, and looks at what it saw
 * and at what is left. Only root can, with a cgroup tree (v2) to be born in.
 */
#include "tests/unit/unit.h"

#include "shell/base/privilege.h"
#include "shell/base/str.h"
#include "shell/confine/landlock.h"
#include "shell/run/birth.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>

#define AGENT 60123U
/* units/creel-keeper@.service.in */
#define KEEPERS                                                                                         \
	(PRIVILEGE(CAP_SETUID) | PRIVILEGE(CAP_SETGID) | PRIVILEGE(CAP_SETPCAP) | PRIVILEGE(CAP_KILL) | \
		PRIVILEGE(CAP_SYS_RESOURCE) | PRIVILEGE_SURROUNDINGS)
#define MIB (UINT64_C(1) << 20)

static char root[] = "/srv/creel-birth-XXXXXX";
static char home[64], output[96], leaf[128];
static int leaf_fd = -EBADF;

/* Where version 2 of cgroups is mounted; NULL: nowhere. */
static char *cgroup_root(void)
{
	FILE *file = setmntent("/proc/self/mounts", "r");
	struct mntent *entry;
	char *path = NULL;

	while (file && !path && (entry = getmntent(file)))
		if (strcmp(entry->mnt_type, "cgroup2") == 0)
			path = strdup(entry->mnt_dir);
	if (file)
		(void)endmntent(file);
	return path;
}

static void shell(const char *format, ...) _printf_(1, 2);
static void shell(const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

static int group_setup(void **state)
{
	_cleanup_free_ char *cgroups = cgroup_root();

	if (geteuid() != 0 || !cgroups)
		return 0;
	if (!mkdtemp(root))
		return -1;
	(void)snprintf(home, sizeof(home), "%s/home", root);
	(void)snprintf(output, sizeof(output), "%s/workspace/output", home);
	(void)snprintf(leaf, sizeof(leaf), "%s/creel-birth-%d", cgroups, (int)getpid());
	shell("chmod 755 %s && mkdir -p %s/workspace %s/neighbour %s/secret && echo old > %s/file && echo secret > "
	      "%s/secret/file &&"
	      " mkdir %s/folder && echo inner > %s/folder/inner && chown -R %u:%u %s && chmod 700 %s",
		root, home, root, root, home, root, home, home, AGENT, AGENT, home, home);
	if (mkdir(leaf, 0755) < 0)
		return -1;
	leaf_fd = open(leaf, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* what the shells of shell() are born with is the bounding set */
	return leaf_fd < 0 ? -1 : privilege_drop(~KEEPERS);
}

static int group_teardown(void **state)
{
	if (leaf_fd < 0)
		return 0;
	leaf_fd = fd_close(leaf_fd);
	shell("rm -rf %s", root);
	shell("rmdir %s", leaf);
	return 0;
}

static void needs_root(void)
{
	if (leaf_fd < 0 || landlock_abi() < LANDLOCK_ABI_MIN)
		skip();
}

static Policy *policy_of(const char *lines)
{
	PolicyText system = { .label = "creel.conf", .text = "", .n = 0 }, agent = { .label = "test.conf" };
	Policy *policy = NULL;
	PolicyError error;

	agent.text = lines;
	agent.n = strlen(lines);
	if (policy_load_text("", "test", &system, &agent, &policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy;
}

typedef struct Asked {
	const char *policy;
	bool view, own_network, closed_doors, bash;
	uint64_t scratch; /* 0: plenty */
	const char *directory;
	int third_fd;
	bool copy_third;
	int interrupt; /* milliseconds until SIGINT is sent; 0: never */
} Asked;

typedef struct Seen {
	char text[8192]; /* stdout and stderr */
	int code, status;
	bool full;
} Seen;

static Confinement prepare(const Policy *policy, bool late, bool bash)
{
	static const gid_t groups[] = { AGENT };
	const ConfinementRequest request = {
		.policy = policy,
		.uid = AGENT,
		.gid = AGENT,
		.groups = groups,
		.n_groups = ELEMENTSOF(groups),
		.home = home,
		.late = late,
		.bash = bash,
	};
	Confinement confinement = CONFINEMENT_NONE;
	PolicyError error = { "" };

	if (confinement_prepare(&request, &confinement, &error) < 0)
		fail_msg("%s", error.text);
	return confinement;
}

static void read_all(int fd, Seen *seen)
{
	size_t n = 0;
	ssize_t now;

	while ((now = read(fd, seen->text + n, sizeof(seen->text) - 1 - n)) > 0)
		n += (size_t)now;
	seen->text[n] = '\0';
}

static void wait_empty(void)
{
	char text[128];

	for (;;) {
		_cleanup_close_ int fd = openat(leaf_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
		struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };
		ssize_t n = read(fd, text, sizeof(text) - 1);

		assert_true(n > 0);
		text[n] = '\0';
		if (strstr(text, "populated 0"))
			return;
		assert_true(poll(&poll_fd, 1, 10000) > 0);
	}
}

/* As bash, so that `narrower` can be tried. */
static Seen run(const Asked *asked, const char *script)
{
	char *arguments[] = { "bash", "-c", (char *)script, NULL };
	char *environment[] = { "PATH=/usr/bin:/bin:/usr/sbin:/sbin", "LC_ALL=C.UTF-8", NULL };
	Policy *policy = policy_of(asked->policy ? asked->policy : "");
	Confinement confinement = prepare(policy, asked->view, false),
		    narrower = asked->bash ? prepare(policy, asked->view, true) : CONFINEMENT_NONE;
	const View view = {
		.uid = AGENT,
		.gid = AGENT,
		.home = home,
		.output = output,
		.output_seen_as = policy->output_seen_as.items,
		.n_seen_as = policy->output_seen_as.n,
		.scratch = asked->scratch ? asked->scratch : 64 * MIB,
	};
	Surroundings surroundings = {
		.own_network = asked->own_network,
		.closed_doors = asked->closed_doors,
		.view = asked->view ? &view : NULL,
		.report_fd = -EBADF,
	};
	BirthRequest request = {
		.leaf_fd = leaf_fd,
		.confinement = &confinement,
		.narrower = asked->bash ? &narrower : NULL,
		.surroundings = &surroundings,
		.program = "/bin/bash",
		.arguments = arguments,
		.environment = environment,
		.home = home,
		.directory = asked->directory,
		.third_fd = asked->third_fd,
		.copy_third = asked->copy_third,
	};
	int ends[2], report_fd = -EBADF, pid_fd = -EBADF;
	Seen seen = { .code = 0 };
	siginfo_t info = { 0 };
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	if (asked->view)
		assert_int_equal(birth_report_new(&report_fd, &surroundings.report_fd), 0);
	request.input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	request.output_fd = request.error_fd = ends[1];
	assert_int_equal(birth(&request, &pid, &pid_fd), 0);
	(void)close(ends[1]);
	(void)close(request.input_fd);
	fd_close(surroundings.report_fd);
	if (asked->interrupt) {
		(void)!read(ends[0], seen.text, 1); /* it said that it is ready */
		assert_int_equal(syscall(SYS_pidfd_send_signal, pid_fd, SIGINT, NULL, 0), 0);
	}
	read_all(ends[0], &seen);
	assert_int_equal(waitid(P_PIDFD, (id_t)pid_fd, &info, WEXITED), 0);
	birth_ending(report_fd, &info, &seen.code, &seen.status, &seen.full);
	(void)close(ends[0]);
	(void)close(pid_fd);
	fd_close(report_fd);
	confinement_done(&confinement);
	confinement_done(&narrower);
	policy_free(policy);
	wait_empty();
	return seen;
}

/* which descriptors the shell has */
#define OPEN "for fd in /proc/$$/fd/*; do test -e $fd && echo -n \"${fd##*/} \"; done"

static const Asked independent = { .view = true };

#define assert_ran(seen, expected)                                                               \
	do {                                                                                     \
		if ((seen).code != CLD_EXITED || (seen).status != 0)                             \
			fail_msg("ended by %d %d: %s", (seen).code, (seen).status, (seen).text); \
		assert_string_equal((seen).text, (expected));                                    \
	} while (0)

/* ---- tests ---- */

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

/* No mount of a run's is in this process's namespace. */
static void test_nothing_left(void **state)
{
	needs_root();
	shell("! grep -e creel-birth -e overlay.*upperdir=/tmp /proc/self/mounts");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_plain),
		cmocka_unit_test(test_home),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_tracing),
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_endings),
		cmocka_unit_test(test_interrupt),
		cmocka_unit_test(test_no_network),
		cmocka_unit_test(test_sockets),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_directory),
		cmocka_unit_test(test_output_link),
		cmocka_unit_test(test_output_seen_as),
		cmocka_unit_test(test_passed),
		cmocka_unit_test(test_copied),
		cmocka_unit_test(test_bash),
		cmocka_unit_test(test_bash_interpreter),
		cmocka_unit_test(test_nothing_left),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

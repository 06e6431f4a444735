/* SPDX-License-Identifier: MIT */
/*
 * Policies as Landlock rules: each test confines a child as a policy says and lets it try. The folders are outside of all
 * that agents may write, and open to everybody by their modes, so that only the rules decide.
 */
#include "tests/unit/unit.h"

#include "shell/base/str.h"
#include "shell/confine/confine.h"
#include "shell/confine/landlock.h"
#include "shell/confine/plan.h"

#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define AGENT 60123U
#define LOADER "/lib64/ld-linux-x86-64.so.2"

static char root[] = "/srv/creel-confine-XXXXXX";
static char home[64];

static const char *at(const char *path)
{
	static char text[4][128];
	static unsigned int turn;

	turn = (turn + 1) % 4;
	(void)snprintf(text[turn], sizeof(text[turn]), "%s/%s", root, path);
	return text[turn];
}

static void make_folder(const char *path, uid_t owner)
{
	assert_int_equal(mkdir(at(path), 0777), 0);
	assert_int_equal(chmod(at(path), 0777), 0);
	assert_int_equal(chown(at(path), owner, owner), 0);
}

static void make_file(const char *path, const char *content, mode_t mode)
{
	int fd = open(at(path), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(close(fd), 0);
}

static int group_setup(void **state)
{
	if (geteuid() != 0)
		return 0;
	if (!mkdtemp(root))
		return -1;
	assert_int_equal(chmod(root, 0755), 0);
	(void)snprintf(home, sizeof(home), "%s/home", root);
	make_folder("home", AGENT);
	make_folder("home/a", AGENT);
	make_folder("home/b", AGENT);
	make_folder("home/workspace", AGENT);
	make_folder("data", 0);
	make_folder("secret", 0);
	make_file("data/file", "data", 0666);
	make_file("secret/file", "secret", 0666);
	make_file("marker", "#!/bin/sh\nexit 0\n", 0755);
	assert_int_equal(symlink(at("marker"), at("link-to-marker")), 0);
	make_file("home/script", "#!/bin/sh\nexit 0\n", 0755);
	return 0;
}

static int group_teardown(void **state)
{
	_cleanup_free_ char *command = str_format("rm -rf %s", root);

	return geteuid() != 0 || system(command) == 0 ? 0 : -1;
}

static void needs_root(void)
{
	if (geteuid() != 0 || landlock_abi() < LANDLOCK_ABI_MIN)
		skip();
}

/* A policy of these lines; "@" is the tests' folder. */
static Policy *policy_of(const char *lines)
{
	PolicyText system = { .label = "creel.conf", .text = "", .n = 0 }, agent = { .label = "test.conf" };
	Policy *policy = NULL;
	PolicyError error;
	char text[1024];
	size_t n = 0;

	for (const char *c = lines; *c; c++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, *c == '@' ? "%s" : "%.1s", *c == '@' ? root : c);
	text[n] = '\0';
	agent.text = text;
	agent.n = n;
	if (policy_load_text("", "test", &system, &agent, &policy, &error) < 0)
		fail_msg("%s", error.text);
	return policy;
}

static int prepare(const Policy *policy, Confinement *ret, PolicyError *error)
{
	static const gid_t groups[] = { AGENT };
	const ConfinementRequest request = {
		.policy = policy,
		.uid = AGENT,
		.gid = AGENT,
		.groups = groups,
		.n_groups = ELEMENTSOF(groups),
		.home = home,
	};

	return confinement_prepare(&request, ret, error);
}

/* What a confined child can try; each returns 0 or an errno. */
static int do_read(const char *path)
{
	char text[8];
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 || read(fd, text, sizeof(text)) < 0 ? errno : 0;
}

static int do_write(const char *path)
{
	int fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int do_make(const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	return fd < 0 || unlink(path) < 0 ? errno : 0;
}

static int do_list(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? errno : 0;
}

static int do_execute(const char *path)
{
	(void)execl(path, path, (char *)NULL);
	return errno;
}

/* The loader says 127 for all it cannot load. */
static int do_load(const char *path)
{
	(void)execl(LOADER, LOADER, path, (char *)NULL);
	return errno;
}

static int do_rename_in_home(const char *path)
{
	int fd = open(at("home/a/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

	return fd < 0 || rename(at("home/a/file"), at("home/b/file")) < 0 ||
			       link(at("home/b/file"), at("home/a/file")) < 0 || unlink(at("home/a/file")) < 0 ||
			       unlink(at("home/b/file")) < 0
		       ? errno
		       : 0;
}

static int do_mount_namespace(const char *path)
{
	return unshare(CLONE_NEWUSER) < 0 ? errno : 0;
}

static int do_become_root(const char *path)
{
	return setuid(0) < 0 ? errno : 0;
}

typedef struct Try {
	int (*act)(const char *path);
	const char *path; /* "@" as in policies, at the beginning */
	int expected;
} Try;

static int confined(const Confinement *confinement, const Try *attempt)
{
	const char *path = *attempt->path == '@' ? at(attempt->path + 2) : attempt->path, *step;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		if (confinement_apply(confinement, &step) < 0) {
			(void)dprintf(STDERR_FILENO, "%s: %s\n", step, strerror(errno));
			(void)syscall(SYS_exit_group, 255);
		}
		(void)prctl(PR_SET_DUMPABLE, 1); /* as after an execve: its files in /proc are its own */
		(void)syscall(SYS_exit_group, attempt->act(path));
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static void try_all(const char *lines, const Try *attempts, size_t n)
{
	_cleanup_(policy_freep) Policy *policy = policy_of(lines);
	Confinement confinement = CONFINEMENT_NONE;
	PolicyError error;

	if (prepare(policy, &confinement, &error) < 0)
		fail_msg("%s", error.text);
	for (size_t i = 0; i < n; i++) {
		int got = confined(&confinement, &attempts[i]);

		if (got != attempts[i].expected)
			fail_msg("[%s] attempt %zu, %s: %d, not %d", lines, i, attempts[i].path, got,
				attempts[i].expected);
	}
	confinement_done(&confinement);
}

static void test_defaults(void **state)
{
	static const Try attempts[] = {
		{ do_make, "@/home/new", 0 },
		{ do_make, "/tmp/creel-confine-new", 0 },
		{ do_make, "/var/tmp/creel-confine-new", 0 },
		{ do_make, "@/data/new", EACCES },
		{ do_write, "@/data/file", EACCES },
		{ do_read, "@/data/file", 0 },
		{ do_list, "@/secret", 0 },
		{ do_list, "/", 0 },
		{ do_write, "/dev/null", 0 },
		{ do_write, "/proc/self/comm", 0 },
		{ do_write, "/sys/kernel/mm/ksm/run", EACCES },
		{ do_rename_in_home, "", 0 },
		{ do_execute, "@/marker", 0 },
		{ do_execute, "@/home/script", 0 },
		{ do_mount_namespace, "", EPERM },
		{ do_become_root, "", EPERM },
	};

	needs_root();
	try_all("", attempts, ELEMENTSOF(attempts));
}

static void test_write(void **state)
{
	static const Try attempts[] = {
		{ do_make, "@/data/new", 0 },
		{ do_write, "@/data/file", 0 },
		{ do_make, "@/secret/new", EACCES },
		{ do_make, "@/new", EACCES },
	};

	needs_root();
	try_all("[files]\nwrite = @/data\n", attempts, ELEMENTSOF(attempts));
}

static void test_read_only(void **state)
{
	static const Try attempts[] = {
		{ do_make, "@/home/new", EACCES },
		{ do_make, "@/home/workspace/new", 0 },
		{ do_read, "@/home/script", 0 },
		{ do_make, "/var/tmp/creel-confine-new", EACCES },
		{ do_make, "/tmp/creel-confine-new", 0 },
	};

	needs_root();
	try_all("[files]\nread_only = ~, /var/tmp\n", attempts, ELEMENTSOF(attempts));
}

static void test_hidden(void **state)
{
	static const Try folder[] = {
		{ do_read, "@/secret/file", EACCES }, { do_list, "@/secret", EACCES }, { do_read, "@/data/file", 0 },
		{ do_list, "@/data", 0 }, { do_list, "/etc", 0 }, { do_make, "@/home/new", 0 },
		{ do_execute, "@/marker", 0 },
		{ do_list, "/srv", EACCES }, /* on the way: a right there would be one to the hidden folder */
	};
	static const Try file[] = {
		{ do_read, "@/secret/file", EACCES },
		{ do_list, "@/secret", 0 },
		{ do_read, "@/data/file", 0 },
	};
	static const Try outer[] = {
		{ do_read, "@/data/file", 0 },
		{ do_read, "@/marker", EACCES },
		{ do_read, "@/secret/file", EACCES },
		{ do_make, "@/home/new", 0 },
		{ do_read, "@/home/script", 0 },
	};

	needs_root();
	try_all("[files]\nhidden = @/secret\n", folder, ELEMENTSOF(folder));
	try_all("[files]\nhidden = @/secret/file\n", file, ELEMENTSOF(file));
	try_all("[files]\nhidden = /srv\nread_only = @/data\n", outer, ELEMENTSOF(outer));
}

static void test_deny(void **state)
{
	static const Try attempts[] = {
		{ do_execute, "/usr/bin/env", EACCES },
		{ do_execute, "/bin/env", EACCES },
		{ do_read, "/usr/bin/env", EACCES },
		{ do_load, "/usr/bin/env", 127 },
		{ do_execute, "@/marker", EACCES },
		{ do_read, "@/marker", EACCES },
		{ do_execute, "/usr/bin/true", 0 },
		{ do_load, "/usr/bin/true", 0 },
		{ do_execute, "@/home/script", 0 },
		{ do_list, "/usr/bin", 0 },
		{ do_read, "/etc/passwd", 0 },
	};

	needs_root();
	try_all("[commands]\ndeny = env, no-such-program, @/marker\n", attempts, ELEMENTSOF(attempts));
}

static void test_allow(void **state)
{
	static const Try attempts[] = {
		{ do_execute, "/usr/bin/true", 0 },
		{ do_execute, "/bin/true", 0 },
		{ do_execute, "@/marker", 0 },
		{ do_execute, "/usr/bin/env", EACCES },
		{ do_load, "/usr/bin/env", 127 },
		{ do_read, "/usr/bin/env", EACCES },
		{ do_execute, "@/home/script", EACCES },
		{ do_read, "@/home/script", 0 },
		{ do_read, "/etc/passwd", 0 },
		{ do_make, "@/home/new", 0 },
	};
	static const Try both[] = {
		{ do_execute, "@/marker", EACCES },
		{ do_execute, "/usr/bin/true", 0 },
	};

	needs_root();
	try_all("[commands]\nallow = true, @/marker\n", attempts, ELEMENTSOF(attempts));
	/* deny wins; both may be given as long as no word is in both */
	try_all("[commands]\nallow = true, @/marker\ndeny = @/link-to-marker\n", both, ELEMENTSOF(both));
}

static void refused(const char *lines, const char *word)
{
	_cleanup_(policy_freep) Policy *policy = policy_of(lines);
	Confinement confinement = CONFINEMENT_NONE;
	PolicyError error;

	assert_int_equal(prepare(policy, &confinement, &error), -EINVAL);
	if (!strstr(error.text, word))
		fail_msg("[%s]: %s", lines, error.text);
	assert_int_equal(confinement.ruleset_fd, -EBADF);
}

static void test_refused(void **state)
{
	needs_root();
	/* what only shows when paths are resolved; the rest is refused when the policy is read */
	refused("[files]\nhidden = @/home/a\n", "cannot be enforced");
	assert_int_equal(symlink(at("data"), at("link-to-data")), 0);
	refused("[files]\nwrite = @/data\nhidden = @/link-to-data/file\n", "cannot be enforced");
	assert_int_equal(unlink(at("link-to-data")), 0);
	refused("[commands]\ndeny = @/home/script\n", "the agent may write");
	refused("[commands]\nallow = @/home/script\n", "the agent may write");
	refused("[commands]\ndeny = bash\n", "login shell");
	assert_int_equal(link(at("marker"), at("again")), 0);
	refused("[commands]\ndeny = @/marker\n", "2 names");
	assert_int_equal(unlink(at("again")), 0);
}

static void test_links_in_home(void **state)
{
	static const Try attempts[] = {
		{ do_make, "@/data/new", EACCES }, /* the agent's link leads there, and is not followed */
		{ do_make, "@/home/new", EACCES },
	};

	needs_root();
	assert_int_equal(symlink(at("data"), at("home/link")), 0);
	try_all("[files]\nread_only = ~\nwrite = ~/link\n", attempts, ELEMENTSOF(attempts));
	assert_int_equal(unlink(at("home/link")), 0);
}

static void test_stays_current(void **state)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	Confinement confinement = CONFINEMENT_NONE;
	PolicyError error;

	needs_root();
	policy = policy_of("[files]\nhidden = @/secret\n");
	assert_int_equal(prepare(policy, &confinement, &error), 0);
	assert_true(confinement_is_current(&confinement));
	make_file("home/by-the-agent", "", 0600);
	assert_true(confinement_is_current(&confinement)); /* what it writes changes no rule */
	make_file("by-the-operator", "", 0600);
	assert_false(confinement_is_current(&confinement));
	confinement_done(&confinement);
	assert_true(confinement_is_current(&confinement));
}

/* As creel-shell does it: nothing is asked for that the agent does not have. */
static void test_own(void **state)
{
	int status;
	pid_t pid;

	needs_root();
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		_cleanup_(policy_freep) Policy *policy =
			policy_of("[files]\nhidden = @/secret\n[limits]\nopen_files = 99\n");
		Confinement confinement = CONFINEMENT_NONE;
		struct rlimit limit;
		PolicyError error;
		const char *step;

		if (setgid(AGENT) < 0 || prepare(policy, &confinement, &error) < 0)
			_exit(1);
		if (confinement_apply_own(&confinement, &step) != -EPERM || setuid(AGENT) < 0 ||
			prctl(PR_SET_DUMPABLE, 1) < 0)
			_exit(2);
		confinement_done(&confinement);
		if (prepare(policy, &confinement, &error) < 0 || confinement_apply_own(&confinement, &step) < 0)
			_exit(3);
		if (do_read(at("secret/file")) != EACCES || do_read(at("data/file")) || do_make(at("home/new")) ||
			do_make(at("data/new")) != EACCES || do_mount_namespace("") != EPERM)
			_exit(4);
		if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_max != 99)
			_exit(5);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void test_paths(void **state)
{
	StrList paths = { 0 };

	assert_true(path_within("/a/b", "/a"));
	assert_true(path_within("/a", "/a"));
	assert_true(path_within("/a", "/"));
	assert_false(path_within("/ab", "/a"));
	assert_false(path_within("/a", "/a/b"));
	assert_int_equal(paths_add(&paths, "/b/c"), 0);
	assert_int_equal(paths_add(&paths, "/b-d"), 0);
	assert_int_equal(paths_add(&paths, "/a"), 0);
	assert_int_equal(paths_add(&paths, "/a"), 0);
	assert_int_equal(paths.n, 3);
	paths_sort(&paths);
	assert_true(paths_has(&paths, "/b/c"));
	assert_false(paths_has(&paths, "/b"));
	assert_true(paths_has_beneath(&paths, "/b"));
	assert_true(paths_has_beneath(&paths, "/"));
	assert_false(paths_has_beneath(&paths, "/b/c"));
	assert_false(paths_has_beneath(&paths, "/a"));
	assert_false(paths_has_beneath(&paths, "/c"));
	strlist_done(&paths);
}

/* Needs root: whose links count is whose folder it is. */
static void test_links_that_count(void **state)
{
	char folder[] = "/run/creel-test-XXXXXX", path[128];
	_cleanup_free_ char *trusted = NULL, *another = NULL, *plain = NULL, *away = NULL, *round = NULL;

	if (getuid() != 0 || !mkdtemp(folder))
		skip();
	(void)snprintf(path, sizeof(path), "%s/out", folder);
	assert_int_equal(symlink("/usr/../etc", path), 0);
	(void)snprintf(path, sizeof(path), "%s/./out//below", folder);
	assert_int_equal(path_resolve_trusted(path, &trusted), 0);
	assert_string_equal(trusted, "/etc/below");
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(path_resolve_trusted(path, &another), 0);
	(void)snprintf(path, sizeof(path), "%s/out/below", folder);
	assert_string_equal(another, path);
	assert_int_equal(path_resolve_trusted("/", &plain), 0);
	assert_string_equal(plain, "/");
	assert_int_equal(path_resolve_trusted("/../none/../x", &away), 0);
	assert_string_equal(away, "/x");
	(void)snprintf(path, sizeof(path), "%s/out", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(symlink("out", path), 0);
	assert_int_equal(path_resolve_trusted(path, &round), -ELOOP);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_paths),
		cmocka_unit_test(test_links_that_count),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_write),
		cmocka_unit_test(test_read_only),
		cmocka_unit_test(test_hidden),
		cmocka_unit_test(test_deny),
		cmocka_unit_test(test_allow),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_links_in_home),
		cmocka_unit_test(test_stays_current),
		cmocka_unit_test(test_own),
	};

	return cmocka_run_group_tests_name("confine", tests, group_setup, group_teardown);
}

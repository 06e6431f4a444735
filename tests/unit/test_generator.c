/* SPDX-License-Identifier: MIT */
/*
 * The generator as the manager runs it, on a root of its own: the program beside this test's folder, its
 * files, its exit status and what it says.
 */
#include "tests/unit/unit.h"

#include "shell/base/file.h"
#include "shell/base/str.h"
#include "units/agent-units.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char root[64], program[PATH_MAX];

static char *path_of(const char *below)
{
	char *path = str_format("%s%s", root, below);

	assert_non_null(path);
	return path;
}

static void write_file(const char *below, const char *text)
{
	_cleanup_free_ char *path = path_of(below);
	_cleanup_close_ int fd = -EBADF;

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

/* NULL when it is not there. */
static char *read_file(const char *below)
{
	_cleanup_free_ char *path = path_of(below);
	char *text = NULL;

	return file_read_at(AT_FDCWD, path, 0, 1 << 20, &text, NULL) < 0 ? NULL : text;
}

static void assert_has(const char *below, const char *line)
{
	_cleanup_free_ char *text = read_file(below);

	if (!text)
		fail_msg("%s is missing", below);
	else if (!strstr(text, line))
		fail_msg("%s lacks `%s`:\n%s", below, line, text);
}

static void assert_missing(const char *below)
{
	_cleanup_free_ char *path = path_of(below);
	struct stat st;

	assert_true(lstat(path, &st) < 0 && errno == ENOENT);
}

static void assert_link(const char *below, const char *target)
{
	_cleanup_free_ char *path = path_of(below);
	char found[PATH_MAX];
	ssize_t n = readlink(path, found, sizeof(found) - 1);

	if (n < 0)
		fail_msg("%s is missing", below);
	found[n] = '\0';
	assert_string_equal(found, target);
}

/* Runs it on fresh output; returns the exit status, what it said is in /said below the root. */
static int generate(void)
{
	_cleanup_free_ char *command = str_format("cd '%s' && rm -rf out && mkdir out out.early out.late 2>/dev/null;"
						  " '%s' --root '%s' '%s/out' '%s/out.early' '%s/out.late' 2>'%s/said'",
		root, program, root, root, root, root, root);
	int status;

	assert_non_null(command);
	status = system(command);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int set_up(void **state)
{
	ssize_t n = readlink("/proc/self/exe", program, sizeof(program) - 32);
	char *slash;

	if (n < 0)
		return -1;
	program[n] = '\0';
	/* BUILD/tests/NAME -> BUILD/creel-generator */
	for (int i = 0; i < 2; i++) {
		slash = strrchr(program, '/');
		if (!slash)
			return -1;
		*slash = '\0';
	}
	strcat(program, "/creel-generator");
	(void)snprintf(root, sizeof(root), "/tmp/creel-test-units-XXXXXX");
	if (!mkdtemp(root))
		return -1;
	write_file("/proc/meminfo", "MemTotal:        1572864 kB\nMemFree:         1 kB\n");
	write_file("/etc/passwd", "root:x:0:0:root:/root:/bin/sh\nalice:x:1000:1000::/home/alice:/bin/bash\n"
				  "bob:x:1001:1001::/home/bob:/bin/bash\ndaemon:x:1:1::/:/bin/sh\n"
				  "alias:x:1000:1000::/:/bin/bash\n");
	return 0;
}

static int tear_down(void **state)
{
	_cleanup_free_ char *command = str_format("rm -rf '%s'", root);

	return command ? system(command) : -1;
}

#define ALICE "/etc/creel/agents/alice.conf"
#define BOB "/etc/creel/agents/bob.conf"
#define DROP_IN ".d/50-creel.conf"

static void forget_agents(void)
{
	_cleanup_free_ char *command = str_format("rm -rf '%s/etc/creel'", root);

	assert_int_equal(system(command), 0);
}

static void test_nothing(void **state)
{
	forget_agents();
	assert_int_equal(generate(), 0);
	/* 1536 MiB - 384 MiB */
	assert_has("/out/user.slice" DROP_IN, "MemoryMax=1207959552\n");
	/* 1536 MiB / 8 */
	assert_has("/out/creel-sshd.service" DROP_IN, "[Service]\nMemoryMax=201326592\n");
	assert_missing("/out/multi-user.target.wants");
	assert_missing("/out/user-1000.slice.d");
}

static void test_limits(void **state)
{
	forget_agents();
	write_file(ALICE, "[limits]\nmemory = 512M\nswap = 64M\nprocesses = 40\ncpu = 0.75\nio_weight = 20\n");
	write_file(BOB, "[limits]\ntasks = 30\ncpu = max\nmemory = max\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nMemoryMax=536870912\nMemorySwapMax=67108864\nTasksMax=40\n"
						   "CPUQuota=75.00%\n");
	assert_has("/out/user-1000.slice" DROP_IN, "\nIOWeight=20\n");
	assert_has("/out/user@1000.service" DROP_IN, "\nDelegate=cpu memory pids io\n");
	assert_has("/out/user@1000.service" DROP_IN, "\nConditionPathExists=!/run/creel/stopped/1000\n");
	/* the unit's own command is taken back, and its manager starts through the program that confines it */
	assert_has("/out/user@1000.service" DROP_IN,
		"\nExecStart=\nExecStart=" CREEL_LIBEXECDIR "/creel-confine /lib/systemd/systemd --user\n");
	assert_has("/out/user@1000.service" DROP_IN, "\nNoNewPrivileges=yes\n");
	assert_has("/out/user@1000.service" DROP_IN, "\nEnvironment=PIP_BREAK_SYSTEM_PACKAGES=1\n");
	assert_link("/out/sockets.target.wants/creel-keeper@1000.socket", CREEL_UNITDIR "/creel-keeper@.socket");
	assert_link("/out/multi-user.target.wants/creel-keeper@1000.service", CREEL_UNITDIR "/creel-keeper@.service");
	assert_link("/out/multi-user.target.wants/creel-leaves@1000.service", CREEL_UNITDIR "/creel-leaves@.service");
	assert_link("/out/multi-user.target.wants/creel-rescue@1000.service", CREEL_UNITDIR "/creel-rescue@.service");
	assert_missing("/out/creel-keeper@1000.service.d");
	/* what the machine has bounds what a policy allows, and the smaller of tasks and processes holds */
	assert_has("/out/user-1001.slice" DROP_IN, "\nMemoryMax=1207959552\nMemorySwapMax=0\nTasksMax=30\nCPUQuota=\n");
}

/* A bad file disables its agent and nobody else. */
static void test_refused(void **state)
{
	static const char *const units[] = {
		"user@1000.service",
		"creel-keeper@1000.socket",
		"creel-keeper@1000.service",
		"creel-leaves@1000.service",
		"creel-rescue@1000.service",
	};

	forget_agents();
	write_file(ALICE, "[limits]\nmemroy = 512M\n");
	write_file(BOB, "");
	assert_int_equal(generate(), 0);
	assert_has("/said", "creel-generator: agent `alice` is disabled: " ALICE
			    ":2: [limits] memroy: unknown key; did you mean `memory`?\n");
	for (size_t i = 0; i < ELEMENTSOF(units); i++) {
		_cleanup_free_ char *file = str_format("/out/%s" DROP_IN, units[i]);

		assert_has(file, "[Unit]\nAssertPathExists=" ALICE "/is-refused\n");
	}
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=1\n");
	assert_has("/out/user-1000.slice" DROP_IN, "\nMemoryMax=1207959552\nMemorySwapMax=0\n");
	assert_has("/out/user-1001.slice" DROP_IN, "\nTasksMax=50\n");
	assert_missing("/out/creel-keeper@1001.service.d");
}

/* A bad creel.conf disables all, and the front keeps settings that are known to be good. */
static void test_system_refused(void **state)
{
	forget_agents();
	write_file(ALICE, "");
	write_file("/etc/creel/creel.conf", "[front]\ngrace = soon\n");
	assert_int_equal(generate(), 0);
	assert_has("/said", "agent `alice` is disabled: /etc/creel/creel.conf:2: [front] grace: `soon` is not a time");
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=1\n");
	assert_has("/out/creel-sshd.service" DROP_IN, "\nEnvironment=CREEL_GRACE=20\n");
	assert_has("/out/creel-sshd.service" DROP_IN, "\nEnvironment=CREEL_KEEPALIVE=60 CREEL_KEEPALIVES=5\n");
	assert_has("/out/creel-sshd.service" DROP_IN, "\nEnvironment=CREEL_REKEY=0 CREEL_OLDER_CLIENTS=0\n");
	assert_has("/out/user.slice" DROP_IN, "MemoryMax=1207959552\n");
}

static void test_users(void **state)
{
	forget_agents();
	write_file("/etc/creel/agents/nobody-here.conf", "");
	write_file("/etc/creel/agents/daemon.conf", "");
	write_file("/etc/creel/agents/Bad.conf", "");
	write_file("/etc/creel/agents/.alice.conf", "");
	write_file("/etc/creel/agents/alice.conf.new", "");
	write_file(BOB, "");
	assert_int_equal(generate(), 0);
	assert_has("/said", "nobody-here.conf: there is no user `nobody-here`: the file is skipped\n");
	assert_has("/said", "the uid of `daemon` is 1, and agents have 1000 to 59999: the file is refused\n");
	assert_has("/said", "`Bad.conf` is not named after an agent: the file is skipped\n");
	assert_missing("/out/user-1.slice.d");
	assert_missing("/out/user-1000.slice.d");
	assert_has("/out/user-1001.slice" DROP_IN, "\nTasksMax=50\n");
}

/* Two policies for one uid: which of them holds cannot be known, so none does. */
static void test_alias(void **state)
{
	forget_agents();
	write_file(ALICE, "[limits]\nprocesses = 20\n");
	write_file("/etc/creel/agents/alias.conf", "[limits]\nprocesses = 40\n");
	assert_int_equal(generate(), 0);
	assert_has("/said", "uid 1000 has a policy already");
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=1\n");
	assert_has("/out/creel-keeper@1000.service" DROP_IN, "AssertPathExists=");
}

/* Deleting or renaming an agent's file must not lift its limits. */
static void test_file_gone(void **state)
{
	_cleanup_free_ char *path = path_of(ALICE), *aside = path_of(ALICE ".saved");

	forget_agents();
	write_file(ALICE, "[limits]\nmemory = 512M\n");
	write_file(BOB, "");
	write_file("/etc/creel/provisioned/1000", "alice\n");
	write_file("/etc/creel/provisioned/1001", "bob\n");
	write_file("/etc/creel/provisioned/1002", "gone\n"); /* no such user: nothing can run */
	write_file("/etc/creel/provisioned/1", "daemon\n");
	write_file("/etc/creel/provisioned/1000.new", "x\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=50\n");
	assert_missing("/out/creel-keeper@1000.service.d");

	assert_int_equal(rename(path, aside), 0);
	assert_int_equal(generate(), 0);
	assert_has("/said", "uid 1000 is agent `alice` and has no policy: it is disabled");
	assert_has("/out/user-1000.slice" DROP_IN, "\nMemoryMax=1207959552\nMemorySwapMax=0\nTasksMax=1\n");
	assert_has("/out/user@1000.service" DROP_IN, "[Unit]\nAssertPathExists=" ALICE "/is-refused\n");
	assert_has("/out/creel-keeper@1000.socket" DROP_IN, "AssertPathExists=");
	assert_has("/out/user-1001.slice" DROP_IN, "\nTasksMax=50\n");
	assert_missing("/out/creel-keeper@1001.service.d");
	assert_missing("/out/user-1002.slice.d");
	assert_missing("/out/user-1.slice.d");

	/* a mark that says nothing is one still, and the whole folder of policies may be gone */
	write_file("/etc/creel/provisioned/1000", "");
	assert_int_equal(unlink(aside), 0);
	path[strlen(path) - strlen("/alice.conf")] = '\0';
	{
		_cleanup_free_ char *command = str_format("rm -rf '%s'", path);

		assert_int_equal(system(command), 0);
	}
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=1\n");
	assert_has("/out/user-1001.slice" DROP_IN, "\nTasksMax=1\n");
}

/* Without knowing the machine it says so, fails, and still writes every limit. */
static void test_no_memory(void **state)
{
	_cleanup_free_ char *path = path_of("/proc/meminfo");

	forget_agents();
	write_file(ALICE, "");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(generate(), 1);
	assert_has("/said", "/proc/meminfo: No such file or directory: taken for a machine of 512 MiB\n");
	assert_has("/out/user-1000.slice" DROP_IN, "\nMemoryMax=134217728\n");
	write_file("/proc/meminfo", "MemTotal:        1572864 kB\n");
}

static void test_agents_memory(void **state)
{
	assert_true(agents_memory(UINT64_C(2) << 30) == (UINT64_C(2) << 30) - (UINT64_C(384) << 20));
	assert_true(agents_memory(UINT64_C(512) << 20) == UINT64_C(128) << 20);
	assert_true(agents_memory(UINT64_C(256) << 20) == UINT64_C(64) << 20);
	assert_true(agents_memory(0) == 0);
}

static void test_front_memory(void **state)
{
	assert_true(front_memory(UINT64_C(2) << 30) == UINT64_C(256) << 20);
	assert_true(front_memory(UINT64_C(512) << 20) == UINT64_C(128) << 20);
	assert_true(front_memory(0) == UINT64_C(128) << 20);
	assert_true(front_memory(UINT64_C(64) << 30) == UINT64_C(1) << 30);
	/* together with the agents' part there is always room for the system */
	for (uint64_t total = UINT64_C(512) << 20; total <= UINT64_C(2) << 30; total <<= 1)
		assert_true(agents_memory(total) + front_memory(total) + (UINT64_C(128) << 20) <= total);
}

#define LSM "/sys/kernel/security/lsm"
#define TYPES "/sys/kernel/btf/vmlinux"
#define ENFORCED "/run/creel/enforced/1000"

/* Where the kernel's programs count processes, TasksMax= is limits.tasks; else the smaller number stands in. */
static void test_counted_processes(void **state)
{
	forget_agents();
	write_file(ALICE, "[limits]\nprocesses = 40\ntasks = 400\n");
	/* at boot nothing is known yet: what the kernel has decides */
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=40\n");
	write_file(TYPES, "types\n");
	write_file(LSM, "capability,landlock,bpfx\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=40\n");
	write_file(LSM, "capability,landlock,bpf\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=400\n");

	/* then what creel-enforce says */
	write_file(ENFORCED, "stamp 1\nmechanism processes failed no room\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=40\n");
	write_file(ENFORCED, "stamp 1\nmechanism processes ok\npin processes /sys/fs/bpf/one\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=40\n");
	write_file("/sys/fs/bpf/one", "");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=400\n");
	write_file(LSM, "capability\n");
	write_file(ENFORCED, "nonsense\n");
	assert_int_equal(generate(), 0);
	assert_has("/out/user-1000.slice" DROP_IN, "\nTasksMax=40\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_system_refused),
		cmocka_unit_test(test_users),
		cmocka_unit_test(test_alias),
		cmocka_unit_test(test_file_gone),
		cmocka_unit_test(test_counted_processes),
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_agents_memory),
		cmocka_unit_test(test_front_memory),
	};

	return cmocka_run_group_tests_name("generator", tests, set_up, tear_down);
}

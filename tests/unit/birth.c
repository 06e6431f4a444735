/* SPDX-License-Identifier: MIT */
#include "tests/unit/birth.h"

#include "shell/base/privilege.h"
#include "shell/base/str.h"
#include "shell/confine/landlock.h"

#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* units/creel-keeper@.service.in */
#define KEEPERS                                                                                         \
	(PRIVILEGE(CAP_SETUID) | PRIVILEGE(CAP_SETGID) | PRIVILEGE(CAP_SETPCAP) | PRIVILEGE(CAP_KILL) | \
		PRIVILEGE(CAP_SYS_RESOURCE) | PRIVILEGE_SURROUNDINGS)

char root[] = "/srv/creel-birth-XXXXXX";
char home[64], output[96];
const Asked independent = { .view = true };
static char leaf[128];
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

void shell(const char *format, ...)
{
	char command[1024];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(command, sizeof(command), format, ap);
	va_end(ap);
	assert_int_equal(system(command), 0);
}

int birth_setup(void **state)
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

int birth_teardown(void **state)
{
	if (leaf_fd < 0)
		return 0;
	leaf_fd = fd_close(leaf_fd);
	shell("rm -rf %s", root);
	shell("rmdir %s", leaf);
	return 0;
}

void needs_root(void)
{
	if (leaf_fd < 0 || landlock_abi() < LANDLOCK_ABI_MIN)
		skip();
}

Policy *policy_of(const char *lines)
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

Seen run(const Asked *asked, const char *script)
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

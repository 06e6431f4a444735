/* SPDX-License-Identifier: MIT */
/* More than the policy gives: limits, scheduling, the out-of-memory score, cgroups. */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int raise_limit(int resource)
{
	struct rlimit limit;

	if (getrlimit(resource, &limit) < 0)
		return -errno;
	if (limit.rlim_max == RLIM_INFINITY)
		return 0; /* nothing left to raise: as good as allowed */
	limit.rlim_max++;
	return TRY(setrlimit(resource, &limit));
}

static int raise_files(const Targets *targets)
{
	return raise_limit(RLIMIT_NOFILE);
}

static int raise_size(const Targets *targets)
{
	return raise_limit(RLIMIT_FSIZE);
}

static int raise_core(const Targets *targets)
{
	return raise_limit(RLIMIT_CORE);
}

static int realtime(const Targets *targets)
{
	struct sched_param parameter = { .sched_priority = 1 };

	return TRY(sched_setscheduler(0, SCHED_FIFO, &parameter));
}

static int deadline(const Targets *targets)
{
	struct {
		unsigned int size, policy;
		unsigned long long flags;
		int nice;
		unsigned int priority;
		unsigned long long runtime, deadline, period;
	} attribute = { .size = 48, .policy = 6, .runtime = 1000000, .deadline = 10000000, .period = 10000000 };

	return TRY(syscall(SYS_sched_setattr, 0, &attribute, 0U));
}

static int nicer(const Targets *targets)
{
	return TRY(setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) - 5));
}

static int disk_first(const Targets *targets)
{
	return TRY(syscall(SYS_ioprio_set, 1, 0, 1 << 13));
}

static int lock_much(const Targets *targets)
{
	size_t size = 1UL << 30;
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? ODD : TRY(mlock(memory, size));
}

/* Some have more, as what systemd --user starts: it may come down to what root set, and no further. */
static int score_lower(const Targets *targets)
{
	return try_write("/proc/self/oom_score_adj", "299");
}

static int score_least(const Targets *targets)
{
	return try_write("/proc/self/oom_score_adj", "-1000");
}

static int slice_file(const char *file, const char *value)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice/%s", (unsigned int)getuid(), file);
	return try_write(path, value);
}

static int slice_memory(const Targets *targets)
{
	return slice_file("memory.max", "max");
}

static int slice_tasks(const Targets *targets)
{
	return slice_file("pids.max", "max");
}

static int slice_move(const Targets *targets)
{
	return slice_file("cgroup.procs", "0");
}

static int root_move(const Targets *targets)
{
	return try_write("/sys/fs/cgroup/cgroup.procs", "0");
}

static int system_move(const Targets *targets)
{
	return try_write("/sys/fs/cgroup/system.slice/cgroup.procs", "0");
}

static int other_kill(const Targets *targets)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice/cgroup.kill",
		(unsigned int)targets->other_uid);
	return try_open(path, O_WRONLY);
}

static int slice_folder(const Targets *targets)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice/probe", (unsigned int)getuid());
	return TRY(mkdir(path, 0755));
}

const Act acts_resources[] = {
	{ "raise-open-files", FORBIDDEN, { EPERM }, raise_files, "limits.open_files" },
	{ "raise-file-size", FORBIDDEN, { EPERM }, raise_size, "limits.file_size" },
	{ "raise-core", FORBIDDEN, { EPERM }, raise_core, "no core files" },
	{ "realtime", FORBIDDEN, { EPERM }, realtime, "the processors are shared" },
	{ "deadline", FORBIDDEN, { EPERM }, deadline, "the processors are shared" },
	{ "nice-down", FORBIDDEN, { EACCES, EPERM }, nicer, "the processors are shared" },
	{ "disk-first", FORBIDDEN, { EPERM }, disk_first, "the disk is shared" },
	{ "lock-memory", FORBIDDEN, { ENOMEM, EPERM }, lock_much, "memory is shared" },
	{ "oom-score-lower", FORBIDDEN, { EACCES, EPERM }, score_lower, "agents go before the system" },
	{ "oom-score-least", FORBIDDEN, { EACCES, EPERM }, score_least, "agents go before the system" },
	{ "slice-memory", FORBIDDEN, { EACCES, EPERM }, slice_memory, "limits.memory" },
	{ "slice-tasks", FORBIDDEN, { EACCES, EPERM }, slice_tasks, "limits.tasks" },
	{ "slice-move", FORBIDDEN, { EACCES, EPERM }, slice_move, "out of the session" },
	{ "slice-folder", FORBIDDEN, { EACCES, EPERM }, slice_folder, "cgroups are the keeper's" },
	{ "root-move", FORBIDDEN, { EACCES, EPERM }, root_move, "out of the slice" },
	{ "system-move", FORBIDDEN, { EACCES, EPERM }, system_move, "out of the slice" },
	{ "other-cgroup-kill", FORBIDDEN, { EACCES, EPERM }, other_kill, "agents are apart" },
	{ NULL },
};

/* SPDX-License-Identifier: MIT */
/* Processes of others: another agent's, the keeper, the front, PID 1. */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static int attach(pid_t pid)
{
	return TRY(ptrace(PTRACE_SEIZE, pid, NULL, NULL));
}

/* Signal 0 is judged as any other is. */
static int reach(pid_t pid)
{
	return TRY(kill(pid, 0));
}

static int look(pid_t pid, const char *file)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return try_open(path, O_RDONLY);
}

static int follow(pid_t pid, const char *file)
{
	char path[64], target[256];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, file);
	return TRY(readlink(path, target, sizeof(target)));
}

#define ON(NAME, CALL)                          \
	static int NAME(const Targets *targets) \
	{                                       \
		return CALL;                    \
	}

ON(trace_other, attach(targets->other_pid))
ON(trace_keeper, attach(targets->keeper_pid))
ON(trace_front, attach(targets->front_pid))
ON(trace_init, attach(1))
ON(signal_other, reach(targets->other_pid))
ON(signal_other_group, reach(-targets->other_pid))
ON(signal_keeper, reach(targets->keeper_pid))
ON(signal_front, reach(targets->front_pid))
ON(signal_init, reach(1))
ON(command_other, look(targets->other_pid, "cmdline"))
ON(status_other, look(targets->other_pid, "status"))
ON(environment_other, look(targets->other_pid, "environ"))
ON(memory_other, look(targets->other_pid, "mem"))
ON(descriptors_other, look(targets->other_pid, "fd"))
ON(folder_other, follow(targets->other_pid, "cwd"))
ON(command_keeper, look(targets->keeper_pid, "cmdline"))
ON(memory_keeper, look(targets->keeper_pid, "mem"))
ON(command_front, look(targets->front_pid, "cmdline"))
ON(command_init, look(1, "cmdline"))
ON(environment_init, look(1, "environ"))
ON(root_init, follow(1, "root"))

static int read_memory(const Targets *targets)
{
	char byte;
	struct iovec here = { &byte, 1 }, there = { (void *)0x400000, 1 };

	return TRY(process_vm_readv(targets->other_pid, &here, 1, &there, 1, 0));
}

static int write_memory(const Targets *targets)
{
	char byte = 0;
	struct iovec here = { &byte, 1 }, there = { (void *)0x400000, 1 };

	return TRY(process_vm_writev(targets->keeper_pid, &here, 1, &there, 1, 0));
}

static int take_descriptor(const Targets *targets)
{
	long fd = syscall(SYS_pidfd_open, targets->keeper_pid, 0U);

	return fd < 0 ? -errno : TRY(syscall(SYS_pidfd_getfd, fd, 0, 0U));
}

static int limit_other(const Targets *targets)
{
	struct rlimit limit = { 0, 0 };

	return TRY(prlimit(targets->other_pid, RLIMIT_CORE, &limit, NULL));
}

static int slow_other(const Targets *targets)
{
	return TRY(setpriority(PRIO_PROCESS, (id_t)targets->other_pid, 19));
}

static int slow_user(const Targets *targets)
{
	return TRY(setpriority(PRIO_USER, targets->other_uid, 19));
}

static int pin_other(const Targets *targets)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(0, &set);
	return TRY(sched_setaffinity(targets->other_pid, sizeof(set), &set));
}

static int compare(const Targets *targets)
{
	return TRY(syscall(SYS_kcmp, getpid(), targets->other_pid, 0, 0UL, 0UL));
}

static int score_other(const Targets *targets)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)targets->other_pid);
	return try_open(path, O_WRONLY);
}

const Act acts_process[] = {
	{ "trace-other", FORBIDDEN, { EPERM }, trace_other, "agents are apart" },
	{ "trace-keeper", FORBIDDEN, { EPERM }, trace_keeper, "the keeper is root's" },
	{ "trace-front", FORBIDDEN, { EPERM }, trace_front, "the front holds the host key" },
	{ "trace-init", FORBIDDEN, { EPERM }, trace_init, "root's" },
	{ "signal-other", FORBIDDEN, { EPERM }, signal_other, "agents are apart" },
	{ "signal-other-group", FORBIDDEN, { EPERM }, signal_other_group, "agents are apart" },
	{ "signal-keeper", FORBIDDEN, { EPERM }, signal_keeper, "the keeper is root's" },
	{ "signal-front", FORBIDDEN, { EPERM }, signal_front, "the front serves all" },
	{ "signal-init", FORBIDDEN, { EPERM }, signal_init, "root's" },
	{ "proc-other-cmdline", FORBIDDEN, { EACCES, ENOENT, EPERM }, command_other, "command lines hold secrets" },
	{ "proc-other-status", FORBIDDEN, { EACCES, ENOENT, EPERM }, status_other, "agents are apart" },
	{ "proc-other-environ", FORBIDDEN, { EACCES, ENOENT, EPERM }, environment_other, "environments hold secrets" },
	{ "proc-other-mem", FORBIDDEN, { EACCES, ENOENT, EPERM }, memory_other, "agents are apart" },
	{ "proc-other-fd", FORBIDDEN, { EACCES, ENOENT, EPERM }, descriptors_other, "agents are apart" },
	{ "proc-other-cwd", FORBIDDEN, { EACCES, ENOENT, EPERM }, folder_other, "agents are apart" },
	{ "proc-keeper-cmdline", FORBIDDEN, { EACCES, ENOENT, EPERM }, command_keeper,
		"what others run is nobody's business" },
	{ "proc-keeper-mem", FORBIDDEN, { EACCES, ENOENT, EPERM }, memory_keeper, "the keeper is root's" },
	{ "proc-front-cmdline", FORBIDDEN, { EACCES, ENOENT, EPERM }, command_front,
		"what others run is nobody's business" },
	{ "proc-init-cmdline", FORBIDDEN, { EACCES, ENOENT, EPERM }, command_init,
		"what others run is nobody's business" },
	{ "proc-init-environ", FORBIDDEN, { EACCES, ENOENT, EPERM }, environment_init, "root's" },
	{ "proc-init-root", FORBIDDEN, { EACCES, ENOENT, EPERM }, root_init, "root's" },
	{ "memory-read-other", FORBIDDEN, { EPERM }, read_memory, "agents are apart" },
	{ "memory-write-keeper", FORBIDDEN, { EPERM }, write_memory, "the keeper is root's" },
	{ "descriptor-of-keeper", FORBIDDEN, { EPERM }, take_descriptor, "the keeper is root's" },
	{ "limit-other", FORBIDDEN, { EPERM }, limit_other, "agents are apart" },
	{ "slow-other", FORBIDDEN, { EPERM }, slow_other, "agents are apart" },
	{ "slow-other-user", FORBIDDEN, { EPERM }, slow_user, "agents are apart" },
	{ "pin-other", FORBIDDEN, { EPERM }, pin_other, "agents are apart" },
	{ "compare-other", FORBIDDEN, { EPERM }, compare, "agents are apart" },
	{ "oom-score-other", FORBIDDEN, { EACCES, ENOENT, EPERM }, score_other, "agents are apart" },
	{ NULL },
};

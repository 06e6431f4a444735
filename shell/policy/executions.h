/* SPDX-License-Identifier: MIT */
/* What the program in the kernel that sees executions (shell/enforce/executions.bpf.c) and the keeper both know. */
#pragma once

#include <linux/types.h>

/* Below it, a ring for each uid. Root's alone. */
#define EXECUTIONS_FOLDER "/sys/fs/bpf/creel/rings"

#define EXECUTIONS_RING (256U * 1024) /* bytes, a power of 2 */
#define EXECUTION_PROGRAM 256U
#define EXECUTION_ARGUMENTS 2048U

/* What an entry of the ring is. */
#define EXECUTION_OF_PROGRAM 0U  /* struct execution */
#define EXECUTION_UNIT_BEGINS 1U /* struct execution_unit, right before the first execution of that process */
#define EXECUTION_UNIT_ENDS 2U   /* struct execution_unit */

/* Only so many bytes of `arguments` come as there are. */
struct execution {
	__u64 lost;   /* that found no room in the ring, since the first */
	__u64 cgroup; /* its number: the inode of its folder */
	__u32 pid, parent;
	__u32 bytes; /* of all arguments; more than EXECUTION_ARGUMENTS: the rest is cut off */
	__u32 what;
	char program[EXECUTION_PROGRAM];     /* its path, as it was executed; NUL behind it */
	char arguments[EXECUTION_ARGUMENTS]; /* a NUL behind each */
};

/*
 * A process that the agent's user manager started for a unit: a job, a service, a cron job. What it used is what the kernel tells
 * who waits for it (getrusage(2), RUSAGE_CHILDREN): its own, and that of descendants that were waited for. All 0 where it begins.
 */
struct execution_unit {
	__u64 lost, cgroup;
	__u32 pid, parent;
	__u32 status; /* as of wait(2) */
	__u32 what;
	char unit[EXECUTION_PROGRAM]; /* the name of its cgroup */
	__u64 duration_nsec, cpu_nsec;
	__u64 memory_pages; /* of the one that had most */
};

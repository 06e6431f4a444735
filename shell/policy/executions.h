/* SPDX-License-Identifier: MIT */
/* What the program in the kernel that sees executions (shell/enforce/executions.bpf.c) and the keeper both know. */
#pragma once

#include <linux/types.h>

/* Below it, a ring for each uid. Root's alone. */
#define EXECUTIONS_FOLDER "/sys/fs/bpf/creel/rings"

#define EXECUTIONS_RING (256U * 1024) /* bytes, a power of 2 */
#define EXECUTION_PROGRAM 256U
#define EXECUTION_ARGUMENTS 2048U

/* One entry of the ring; only so many bytes of `arguments` come as there are. */
struct execution {
	__u64 lost;   /* that found no room in the ring, since the first */
	__u64 cgroup; /* its number: the inode of its folder */
	__u32 pid, parent;
	__u32 bytes; /* of all arguments; more than EXECUTION_ARGUMENTS: the rest is cut off */
	__u32 unused;
	char program[EXECUTION_PROGRAM];     /* its path, as it was executed; NUL behind it */
	char arguments[EXECUTION_ARGUMENTS]; /* a NUL behind each */
};

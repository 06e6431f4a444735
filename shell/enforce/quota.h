/* SPDX-License-Identifier: MIT */
/* How much an agent may write: user quotas of every file system that it can reach. */
#pragma once

#include "shell/enforce/enforce.h"

#include <stddef.h>

typedef struct Mount {
	char device[16]; /* MAJOR:MINOR */
	StrList points;  /* where it is mounted, in the order of mounting: one or more */
	char type[32];
} Mount;

/*
 * The mounts of a mountinfo file (proc(5)) whose files take space on a disk and can be written to: once a device, none of
 * the kernel's own. What is in memory (tmpfs) counts in the agent's slice. Returns 0 or -ENOMEM; `ret` is new memory.
 */
_must_check_ int mounts_parse(const char *mountinfo, Mount **ret, size_t *ret_n);
void mounts_free(Mount *mounts, size_t n);

/* What a file system has, and how much of it this agent uses. */
typedef struct DiskState {
	uint64_t total, available; /* bytes; available to others than root */
	uint64_t inodes;           /* in all; 0: it makes them as needed */
	uint64_t used;             /* bytes of the agent's */
} DiskState;

typedef struct QuotaLimits {
	uint64_t bytes, inodes; /* 0: no limit */
} QuotaLimits;

/*
 * What an agent gets of a file system if its policy says `limit`. Not more than there is now beside what others use and a
 * twentieth of the whole; inodes: one for each 8 KiB, at most half of those that there are. `limit` 0: nothing more at all.
 */
QuotaLimits quota_plan(uint64_t limit, const DiskState *state);

/* SPDX-License-Identifier: MIT */
/*
 * Where recordings of terminals lie: RECORDINGS_FOLDER/AGENT/SESSION-CHANNEL.cast, root's and closed to all others. They go by their age
 * alone: no agent makes room by filling it.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#define RECORDINGS_FOLDER "/var/log/creel/terminals"
#define RECORDINGS_SUFFIX ".cast"
#define RECORDING_NAME_MAX 64U

typedef struct Recording {
	char name[RECORDING_NAME_MAX];
	uint64_t bytes;        /* of text */
	uint64_t disk_bytes;   /* that it takes; while it is being made also what it may still need */
	uint64_t changed_usec; /* CLOCK_REALTIME */
} Recording;

/* All in the folder, the oldest first, into `ret`, which the caller frees. Returns 0 or a negative errno. */
_must_check_ int recordings_list(int dir_fd, Recording **ret, size_t *ret_n);

/*
 * Removes those that nobody wrote to since then. Room that is reserved for others comes back, unless somebody has them locked (flock(2)),
 * as whoever records does. `ret_used`: bytes that they take. Returns 0 or a negative errno.
 */
_must_check_ int recordings_prune(int dir_fd, uint64_t before_usec, uint64_t *ret_used);

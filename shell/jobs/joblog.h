/* SPDX-License-Identifier: MIT */
/*
 * A log that never grows beyond its bound: NAME.log, and NAME.log.1 with what was there before it became so large. Who writes is
 * never kept waiting and never ended by it: what has no room on the disk is counted and left out.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct Log {
	int folder_fd; /* borrowed */
	int fd;
	char name[96];
	uint64_t max;  /* bytes of one of the two files */
	uint64_t lost; /* bytes since the last that were written */
	int error;     /* why: errno */
} Log;

/*
 * `fresh`: what a former job of the name left becomes NAME.log.old, and its NAME.log.1 goes. Else it is appended to. Returns 0 or
 * a negative errno; a link or what is no regular file: -ELOOP, -ENOTSUP.
 */
_must_check_ int log_begin(int folder_fd, const char *name, bool fresh, uint64_t max, Log *ret);
void log_end(Log *log);

/* All of it, with the files changed between two lines where that is possible. */
void log_add(Log *log, const char *bytes, size_t n);

/* SPDX-License-Identifier: MIT */
/* The last lines of a log, and what is added to it. */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <stdint.h>

#define TAIL_LINES 100U /* where nothing else is asked for */
#define TAIL_ALL UINT64_MAX

/* "20", "all". Returns 0 or -EINVAL; NULL means TAIL_LINES. */
_must_check_ int tail_lines_parse(const char *text, uint64_t *ret);

typedef struct Tail {
	int folder_fd, fd;
	char name[96];
	bool clean;   /* for a terminal: nothing in it acts on who reads it */
	char part[4]; /* of a character that is not whole yet */
	size_t part_n;
} Tail;

/*
 * Writes the last `lines` of NAME.log - and of NAME.log.1, where it went on from there - to stdout. A link is not followed.
 * Returns 0, or a negative errno with the reason.
 */
_must_check_ int tail_begin(
	const char *below, const char *name, uint64_t lines, bool clean, Tail *ret, Reason *ret_reason);

/* What was added since, also where the file was changed for a new one. Returns 1: there was something, 0, or a negative errno. */
_must_check_ int tail_more(Tail *tail);

/*
 * All that is added, until `over` says so and everything that was written by then is shown. Ends without a failure when nobody
 * reads stdout any more.
 */
_must_check_ int tail_follow(Tail *tail, bool (*over)(void *userdata), void *userdata, Reason *ret_reason);

void tail_end(Tail *tail);
#define _cleanup_tail_ _cleanup_(tail_end)

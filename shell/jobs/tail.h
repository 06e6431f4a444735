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

#define TAIL_LINE_MAX (64U * 1024) /* bytes of a line in one object of TAIL_JSON */

typedef enum TailForm {
	TAIL_BYTES, /* as it is */
	TAIL_CLEAN, /* for a terminal: nothing in it acts on who reads it */
	TAIL_JSON,  /* an object a line: time (null, a file has none), by ("log"), message */
} TailForm;

/* Standard output may be a terminal; `json`: it is a program that asked for that. */
TailForm tail_form(bool json);

typedef struct Tail {
	int folder_fd, fd;
	char name[96];
	TailForm form;
	char *part; /* of a character, or of a line, that is not whole yet */
	size_t part_n;
} Tail;

#define TAIL_NONE(f)                                           \
	{                                                      \
		.folder_fd = -EBADF, .fd = -EBADF, .form = (f) \
	}

/*
 * Writes the last `lines` of NAME.log - and of NAME.log.1, where it went on from there - to stdout. A link is not followed.
 * Returns 0, or a negative errno with the reason.
 */
_must_check_ int tail_begin(
	const char *below, const char *name, uint64_t lines, TailForm form, Tail *ret, Reason *ret_reason);

/*
 * The same of any file, by its absolute path; a link leads to what it names. `later`: one that is not there yet is begun with, and
 * tail_more() finds it when it comes.
 */
_must_check_ int tail_begin_path(
	const char *path, bool later, uint64_t lines, TailForm form, Tail *ret, Reason *ret_reason);

/* Writes that in the tail's form, as if it had been read. Returns 0 or a negative errno. */
_must_check_ int tail_put(Tail *tail, const char *bytes, size_t n);

/* What was added since, also where the file was changed for a new one. Returns 1: there was something, 0, or a negative errno. */
_must_check_ int tail_more(Tail *tail);

/*
 * All that is added, until `over` says so (NULL: never) and everything that was written by then is shown. Ends without a failure when
 * nobody reads stdout any more.
 */
_must_check_ int tail_follow(Tail *tail, bool (*over)(void *userdata), void *userdata, Reason *ret_reason);

/* What is not whole yet is shown as far as it came. */
void tail_end(Tail *tail);
#define _cleanup_tail_ _cleanup_(tail_end)

/* SPDX-License-Identifier: MIT */
/*
 * A system-call filter that allows what a table names and ends the process for all else.
 *
 * Prepare once (allocates, uses libseccomp), apply in as many processes as wished (one system call).
 */
#pragma once

#include "shell/base/cleanup.h"

#include <linux/filter.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_CONDITIONS_MAX 3U

/* Argument `index` (0 to 5), with only the bits of `mask`, must equal `value`. mask 0: no condition. */
typedef struct FilterCondition {
	unsigned int index;
	uint64_t mask, value;
} FilterCondition;

#define FILTER_EQUAL(index, value)           \
	{                                    \
		(index), UINT32_MAX, (value) \
	}
#define FILTER_WITHOUT(index, bits) \
	{                           \
		(index), (bits), 0  \
	}

/* One allowed call: all conditions must hold. Several rows may name the same call. `why` is for the reader. */
typedef struct FilterRow {
	int call; /* SYS_* of <sys/syscall.h> */
	const char *why;
	FilterCondition conditions[FILTER_CONDITIONS_MAX];
} FilterRow;

/* FILTER_ALLOW(read, "why", conditions ...) */
#define FILTER_ALLOW(call, why, ...) \
	{                            \
		SYS_##call, (why),   \
		{                    \
			__VA_ARGS__  \
		}                    \
	}

typedef struct Filter {
	struct sock_filter *program;
	unsigned short n;
} Filter;

/* Returns 0 or a negative errno. */
_must_check_ int filter_prepare(const FilterRow *rows, size_t n, Filter *ret);
void filter_done(Filter *filter);

/*
 * Context: the process to be bound, single-threaded; async-signal-safe. Privilege: needs no_new_privs.
 * From now on another call, or one of another architecture, ends the process with SIGSYS. Returns 0 or a negative errno.
 */
_must_check_ int filter_apply(const Filter *filter);

/* SPDX-License-Identifier: MIT */
/*
 * System call filters (seccomp(2)), from tables: what a row does not decide is refused, by an error or by the end of the
 * process, as the table says.
 *
 * Prepare once (allocates), apply in as many processes as wished (one system call).
 */
#pragma once

#include "shell/base/cleanup.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdint.h>

#define FILTER_CONDITIONS_MAX 3U

/* Argument `index` (0 to 5), with only the bits of `mask`, must equal `value`. mask 0: no condition. */
typedef struct FilterCondition {
	unsigned int index;
	uint64_t mask, value;
} FilterCondition;

/* Kernels read most arguments as 32-bit numbers, and so does this: what stands above them must not hide a value. */
#define FILTER_EQUAL(index, value)           \
	{                                    \
		(index), UINT32_MAX, (value) \
	}
#define FILTER_BITS(index, mask, value)  \
	{                                \
		(index), (mask), (value) \
	}
#define FILTER_WITHOUT(index, bits) \
	{                           \
		(index), (bits), 0  \
	}

/*
 * A call, and what becomes of it if all conditions hold. Several rows may name the same call: the first that fits decides.
 * `why` is for the reader.
 */
typedef struct FilterRow {
	int call; /* SYS_* of <sys/syscall.h> */
	const char *why;
	uint32_t action; /* SECCOMP_RET_* */
	FilterCondition conditions[FILTER_CONDITIONS_MAX];
} FilterRow;

#define FILTER_ROW(call, why, action, ...)   \
	{                                    \
		SYS_##call, (why), (action), \
		{                            \
			__VA_ARGS__          \
		}                            \
	}
/* FILTER_ALLOW(read, "why", conditions ...) */
#define FILTER_ALLOW(call, why, ...) FILTER_ROW(call, why, SECCOMP_RET_ALLOW, __VA_ARGS__)
/* FILTER_REFUSE(socket, EAFNOSUPPORT, "why", conditions ...): by that error */
#define FILTER_REFUSE(call, error, why, ...) FILTER_ROW(call, why, SECCOMP_RET_ERRNO | (error), __VA_ARGS__)

typedef struct FilterTable {
	const FilterRow *rows;
	size_t n;
	uint32_t otherwise; /* calls that no row decides, and all calls of another architecture */
	/*
	 * The newest number that the table's author knew: above it the answer is ENOSYS, as from a kernel of that time, so
	 * that libc does without. 0: no such number, `otherwise` holds for those, too.
	 */
	int newest;
} FilterTable;

typedef struct Filter {
	struct sock_filter *program;
	unsigned short n;
} Filter;

/* Returns 0, -ENOMEM, or -E2BIG (more than the kernel takes). */
_must_check_ int filter_compile(const FilterTable *table, Filter *ret);

/* The strictest table: what no row decides ends the process with SIGSYS. */
_must_check_ int filter_prepare(const FilterRow *rows, size_t n, Filter *ret);
void filter_done(Filter *filter);

/*
 * Context: the process to be bound, single-threaded; async-signal-safe. Privilege: needs no_new_privs.
 * Returns 0 or a negative errno.
 */
_must_check_ int filter_apply(const Filter *filter);

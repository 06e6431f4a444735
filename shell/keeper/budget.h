/* SPDX-License-Identifier: MIT */
/*
 * The memory that runs may hold in the keeper, and that their results hold after them. A memfd is charged to who filled it, as
 * long as anybody has it open: so the keeper keeps a descriptor of each result, and can empty it.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#define BUDGET_RESULTS_MAX 512U /* memfds: older ones are emptied first */

/*
 * The memfd itself is the keeper's memory, too, also when it is empty: so many that others have open, and no more. Whether
 * anybody has, a lease tells (fcntl(2), F_SETLEASE).
 */
#define BUDGET_LENT_MAX 1024U

typedef struct BudgetResult {
	const void *owner; /* the connection that it was sent to; not looked into */
	int fd;
	uint64_t bytes;
} BudgetResult;

typedef struct Budget {
	uint64_t most;     /* bytes, all together */
	uint64_t reserved; /* by what runs */
	uint64_t results;  /* bytes of results */
	size_t n;
	BudgetResult kept[BUDGET_RESULTS_MAX]; /* oldest first */
	size_t n_lent;
	int lent[BUDGET_LENT_MAX]; /* empty, or filled by others at their own expense */
} Budget;

/* Empties results where they are in the way. -ENOBUFS: what runs leaves no room. */
_must_check_ int budget_reserve(Budget *budget, uint64_t bytes);
void budget_release(Budget *budget, uint64_t bytes);

/* Takes the memfd `fd`. */
void budget_keep(Budget *budget, const void *owner, int fd, uint64_t bytes);

/* Its connection went: nobody is going to read its results any more. NULL: all. What was lent and nobody has open is closed. */
void budget_forget(Budget *budget, const void *owner);

/*
 * `n` more memfds may be handed out. -ENOBUFS: others have too many open. Privilege: uid 0, whose they are, no capability.
 */
_must_check_ int budget_may_lend(Budget *budget, size_t n);

/*
 * Takes `fd`, a description that nobody else has: one from memfd_create(2), as a lease counts those from open(2) alone, which
 * are what is handed out.
 */
void budget_lend(Budget *budget, int fd);

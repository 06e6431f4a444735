/* SPDX-License-Identifier: MIT */
/*
 * The memory that runs may hold in the keeper, and that their results hold after them. A memfd is charged to who filled it, as
 * long as anybody has it open: so the keeper keeps a descriptor of each result, and can empty it.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#define BUDGET_RESULTS_MAX 512U /* memfds: older ones are emptied first */

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
} Budget;

/* Empties results where they are in the way. -ENOBUFS: what runs leaves no room. */
_must_check_ int budget_reserve(Budget *budget, uint64_t bytes);
void budget_release(Budget *budget, uint64_t bytes);

/* Takes the memfd `fd`. */
void budget_keep(Budget *budget, const void *owner, int fd, uint64_t bytes);

/* Its connection went: nobody is going to read its results any more. NULL: all. */
void budget_forget(Budget *budget, const void *owner);

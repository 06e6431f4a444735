/* SPDX-License-Identifier: MIT */
#include "shell/keeper/budget.h"
#include "shell/base/log.h"

#include <string.h>

/* Whoever still has it open finds it empty. */
static void empty(Budget *budget, size_t i)
{
	BudgetResult *result = &budget->kept[i];

	if (ftruncate(result->fd, 0) < 0)
		log_error("a result's memory cannot be taken back: %s", strerror(errno));
	fd_close(result->fd);
	budget->results -= result->bytes;
	budget->n--;
	memmove(result, result + 1, (budget->n - i) * sizeof(*result));
}

int budget_reserve(Budget *budget, uint64_t bytes)
{
	if (bytes > budget->most - budget->reserved)
		return -ENOBUFS;
	while (budget->n && bytes > budget->most - budget->reserved - budget->results)
		empty(budget, 0);
	budget->reserved += bytes;
	return 0;
}

void budget_release(Budget *budget, uint64_t bytes)
{
	budget->reserved -= bytes;
}

void budget_keep(Budget *budget, const void *owner, int fd, uint64_t bytes)
{
	if (budget->n == BUDGET_RESULTS_MAX)
		empty(budget, 0);
	budget->kept[budget->n++] = (BudgetResult){ .owner = owner, .fd = fd, .bytes = bytes };
	budget->results += bytes;
}

void budget_forget(Budget *budget, const void *owner)
{
	for (size_t i = budget->n; i-- > 0;)
		if (!owner || budget->kept[i].owner == owner)
			empty(budget, i);
}

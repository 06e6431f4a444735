/* SPDX-License-Identifier: MIT */
#include "shell/keeper/budget.h"
#include "shell/base/log.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>

#define LENT_LOOK 32U /* fewer are not looked at before each run */

/* By open(2): what a mapping or a message holds of it counts as well. */
static bool is_open_elsewhere(int fd)
{
	_cleanup_close_ int own_fd = -EBADF;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	own_fd = open(path, O_RDONLY | O_CLOEXEC);
	/* closed with the lease on it, it has none any more */
	return own_fd >= 0 && fcntl(own_fd, F_SETLEASE, F_WRLCK) < 0 && errno == EAGAIN;
}

static void close_unused(Budget *budget)
{
	size_t left = 0;

	for (size_t i = 0; i < budget->n_lent; i++)
		if (is_open_elsewhere(budget->lent[i]))
			budget->lent[left++] = budget->lent[i];
		else
			fd_close(budget->lent[i]);
	budget->n_lent = left;
}

int budget_may_lend(Budget *budget, size_t n)
{
	if (budget->n_lent >= LENT_LOOK)
		close_unused(budget);
	return budget->n_lent + budget->n + n > BUDGET_LENT_MAX ? -ENOBUFS : 0;
}

void budget_lend(Budget *budget, int fd)
{
	/* too many cannot be: there was room for it before the run began */
	if (budget->n_lent == BUDGET_LENT_MAX || !is_open_elsewhere(fd))
		fd_close(fd);
	else
		budget->lent[budget->n_lent++] = fd;
}

/* Whoever still has it open finds it empty. */
static void empty(Budget *budget, size_t i)
{
	BudgetResult *result = &budget->kept[i];

	if (ftruncate(result->fd, 0) < 0)
		log_error("a result's memory cannot be taken back: %s", strerror(errno));
	budget_lend(budget, result->fd);
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
	close_unused(budget);
}

/* SPDX-License-Identifier: MIT */
/*
 * The rescue leaf: room outside the agent's slice, so that an agent that filled its limits can log in once and clean up.
 * Siblings' limits add up past any total, so room cannot be kept free inside the slice itself.
 */
#include "shell/keeper/keeper.h"

/* Less than this is too little to start a shell in and list processes. */
#define MEMORY_NEEDED (24U << 20)

static bool memory_short(const Keeper *keeper)
{
	uint64_t limit, used, active_file, inactive_file, left;

	if (leaf_number(keeper->slice_fd, "memory.max", &limit) < 0 || limit == LEAF_UNLIMITED ||
		leaf_number(keeper->slice_fd, "memory.current", &used) < 0)
		return false;
	left = limit > used ? limit - used : 0;
	if (left >= MEMORY_NEEDED)
		return false;

	/* the page cache gives way; what remains is held for good */
	if (leaf_keyed(keeper->slice_fd, "memory.stat", "active_file", &active_file) < 0 ||
		leaf_keyed(keeper->slice_fd, "memory.stat", "inactive_file", &inactive_file) < 0)
		return false;
	return left + active_file + inactive_file < MEMORY_NEEDED;
}

/*
 * A fork bomb leaves room for a moment whenever some of it dies, and fills it again before a shell could use it. So what
 * counts is not only that nothing can be born: more than half is in use, and forks were refused since the last birth.
 */
static bool tasks_short(Keeper *keeper)
{
	uint64_t limit, used, refused, refused_before = keeper->forks_refused;

	if (leaf_number(keeper->slice_fd, "pids.max", &limit) < 0 || limit == LEAF_UNLIMITED ||
		leaf_number(keeper->slice_fd, "pids.current", &used) < 0)
		return false;
	if (used < limit / 2) {
		keeper->forks_refused = 0;
		return false;
	}
	refused = leaf_forks_refused(keeper->slice_fd);
	keeper->forks_refused = refused;
	return refused > refused_before;
}

bool rescue_is_due(Keeper *keeper)
{
	return tasks_short(keeper) || memory_short(keeper);
}

void rescue_leave(Session *session)
{
	Keeper *keeper = session->keeper;
	char name[48];

	if (keeper->rescued != session)
		return;
	(void)snprintf(name, sizeof(name), "session-%s", session->id);
	/* while another process of this session lives there, -EBUSY is the right answer */
	if (leaf_remove(keeper->rescue_fd, name) == 0)
		keeper->rescued = NULL;
}

int rescue_open(Keeper *keeper, Session *session, int *ret_fd)
{
	char name[48];
	int r;

	if (keeper->rescued && keeper->rescued != session)
		return -EBUSY;

	(void)snprintf(name, sizeof(name), "session-%s", session->id);
	r = leaf_make(keeper->rescue_fd, name, NULL, true, ret_fd);
	if (r == -EEXIST)
		r = leaf_open(keeper->rescue_fd, name, ret_fd);
	if (r < 0)
		return r;
	keeper->rescued = session;
	return 0;
}

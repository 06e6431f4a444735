/* SPDX-License-Identifier: MIT */
/*
 * The rescue leaf: room outside the agent's slice, so that an agent that filled its limits can log in once and clean up.
 * Siblings' limits add up past any total, so room cannot be kept free inside the slice itself.
 */
#include "shell/keeper/keeper.h"
#include "shell/policy/enforced.h"

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

/* The same for processes, which the kernel counts from the start of the machine. */
static bool processes_short(Keeper *keeper)
{
	uint64_t refused_before = keeper->processes_refused;
	ProcessUsage usage;

	if (process_usage_read("", keeper->uid, &usage) < 0 || usage.limit == POLICY_UNLIMITED)
		return false;
	keeper->processes_refused = usage.refused;
	/* a process is born into the slice without being asked, but could execute nothing there */
	if (usage.count >= usage.limit)
		return true;
	return usage.count >= usage.limit / 2 && usage.refused > refused_before;
}

void rescue_prepare(Keeper *keeper)
{
	ProcessUsage usage;

	if (process_usage_read("", keeper->uid, &usage) == 0)
		keeper->processes_refused = usage.refused;
}

bool slice_is_full(const Keeper *keeper)
{
	ProcessUsage usage;

	return process_usage_read("", keeper->uid, &usage) == 0 && usage.count >= usage.limit;
}

bool rescue_is_due(Keeper *keeper)
{
	/* all of them look, for each remembers what it saw */
	bool tasks = tasks_short(keeper), processes = processes_short(keeper);

	return tasks || processes || memory_short(keeper);
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

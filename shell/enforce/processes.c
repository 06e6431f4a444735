/* SPDX-License-Identifier: MIT */
/*
 * Processes: the programs of processes.bpf.c, and each agent's limit in their map.
 *
 * A new set counts for itself: its programs are attached first, so that they see every birth and every end from then on,
 * and then a walk over all tasks enters who was there before. Meanwhile the old set, if there is one, still holds the
 * limit. The order of attachment matters: ends before births, so that nothing is entered whose end nobody sees.
 */
#include "shell/enforce/bpf.h"
#include "shell/enforce/shared.h"

#include <bpf/bpf.h>
#include <string.h>

BPF_OBJECT(creel_processes_object, "processes.bpf.o");

_Static_assert(PROCESSES_UNLIMITED == POLICY_UNLIMITED, "`max` is the same number on both sides");

static const BpfProgram programs[] = {
	{ "sched_process_exit", .cgroup = false },
	{ "cgroup_attach_task", .cgroup = false },
	{ "task_newtask", .cgroup = false },
	{ "task_free", .lsm = true },
	{ "bprm_creds_for_exec", .lsm = true },
	{ "task_alloc", .lsm = true },
	{ NULL },
};

static const char *const maps[] = { "limits", "counts", NULL };

static const BpfSource source = {
	.name = "processes",
	.object = creel_processes_object,
	.object_end = creel_processes_object_end,
	.programs = programs,
	.maps = maps,
};

/* Nothing starts in what runs already, as with the slice of a refused agent (units/agent-units.c). */
#define REFUSED_LIMIT 1U

static uint64_t limit_of(const EnforceAgent *agent)
{
	return agent->policy ? agent->policy->processes : REFUSED_LIMIT;
}

/* A count stays until nothing is counted in it: what is counted would otherwise be taken off nothing. */
static int forget(int limits_fd, int counts_fd, const EnforceAgents *agents)
{
	uint64_t present[AGENTS_MAX];
	int n;

	n = bpf_map_keys64(counts_fd, present, ELEMENTSOF(present));
	if (n < 0)
		return n;
	for (int i = 0; i < n; i++) {
		struct process_count count;

		if (enforce_agents_has(agents, (uid_t)present[i]))
			continue;
		if (bpf_map_delete_elem(limits_fd, &present[i]) < 0 && errno != ENOENT)
			return -errno;
		if (bpf_map_lookup_elem(counts_fd, &present[i], &count) == 0 && count.count == 0 &&
			bpf_map_delete_elem(counts_fd, &present[i]) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

/* Returns whether somebody is counted who was not before, or a negative errno. */
static int fill(int limits_fd, int counts_fd, const EnforceAgents *agents)
{
	static const struct process_count none;
	bool added = false;

	for (size_t i = 0; i < agents->n; i++) {
		uint64_t uid = agents->items[i].uid, limit = limit_of(&agents->items[i]), present;
		int r;

		if (bpf_map_update_elem(counts_fd, &uid, &none, BPF_NOEXIST) < 0 && errno != EEXIST)
			return -errno;
		added |= bpf_map_lookup_elem(limits_fd, &uid, &present) < 0;
		r = bpf_map_put(limits_fd, &uid, sizeof(uid), &limit, sizeof(limit));
		if (r < 0)
			return r;
	}
	return added;
}

int processes_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };
	_cleanup_close_ int limits_fd = -EBADF, counts_fd = -EBADF;
	const char *missing = bpf_lsm_missing("");
	int r, added = 0;

	if (missing)
		return enforce_reason(ret_reason, -EOPNOTSUPP, "%s", missing);
	r = bpf_set_open(&source, false, &set, ret_reason);
	if (r < 0)
		return r;
	limits_fd = bpf_set_map(&set, "limits");
	counts_fd = bpf_set_map(&set, "counts");
	r = limits_fd < 0 ? limits_fd : counts_fd < 0 ? counts_fd : forget(limits_fd, counts_fd, agents);
	if (r == 0)
		r = added = fill(limits_fd, counts_fd, agents);
	if (r < 0)
		return enforce_reason(ret_reason, r, "the map of limits: %s", strerror(-r));
	if (set.fresh) {
		r = bpf_set_pin_iterator(&set, "seed", NULL, ret_reason);
		if (r == 0)
			r = bpf_set_pin_iterator(&set, "usage", "counts", ret_reason);
		if (r == 0)
			r = bpf_set_attach(&set, ret_reason);
		if (r < 0)
			return r;
	}
	/* each time: whoever died between filling and counting left an agent whose processes nobody counted */
	r = bpf_set_read(&set, "seed");
	if (r < 0)
		return enforce_reason(ret_reason, r, "what runs already cannot be counted: %s", strerror(-r));
	return bpf_set_commit(&set, &agents->pins, ret_reason);
}

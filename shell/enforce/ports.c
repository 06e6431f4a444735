/* SPDX-License-Identifier: MIT */
/* Ports: the programs of ports.bpf.c, and each agent's ranges in their map. */
#include "shell/enforce/bpf.h"
#include "shell/enforce/shared.h"
#include "shell/policy/agents.h"

BPF_OBJECT(creel_ports_object, "ports.bpf.o");

_Static_assert(SHARED_UID_MIN == AGENT_UID_MIN && SHARED_UID_MAX == AGENT_UID_MAX, "the programs know other agents");
_Static_assert(PORT_RANGES_MAX == POLICY_PORT_RANGES_MAX, "policies have more ranges than the programs");

static const BpfProgram programs[] = {
	{ "bind4", .cgroup = true },
	{ "bind6", .cgroup = true },
	{ "post_bind4", .cgroup = true },
	{ "post_bind6", .cgroup = true },
	{ "listen", .lsm = true },
	{ "create", .lsm = true },
	{ NULL },
};

static const char *const maps[] = { "ports", NULL };

static const BpfSource source = {
	.name = "ports",
	.object = creel_ports_object,
	.object_end = creel_ports_object_end,
	.programs = programs,
	.maps = maps,
};

static void limits_of(const EnforceAgent *agent, void *buffer)
{
	const Policy *policy = agent->policy;
	struct port_limits *ret = buffer;

	*ret = (struct port_limits){ 0 };
	for (size_t i = 0; policy && i < policy->listen.n && i < PORT_RANGES_MAX; i++) {
		const PortRange *range = &policy->listen.ranges[i];

		ret->ranges[ret->n++] = (struct port_range){ range->first, range->last };
		ret->total += (uint32_t)range->last - range->first + 1;
	}
}

int ports_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };
	const char *missing = bpf_lsm_missing("");
	struct port_limits limits;
	const EnforceMap map = { "ports", "ports", limits_of, &limits, sizeof(limits) };
	int r;

	/* without the LSM the bind hooks still hold, and that is worth having */
	r = enforce_agents_apply(&source, missing != NULL, &map, agents, &set, ret_reason);
	if (r < 0)
		return r;
	if (missing)
		return enforce_reason(ret_reason, -EOPNOTSUPP, "%s; listen() without bind() is not judged", missing);
	return 0;
}

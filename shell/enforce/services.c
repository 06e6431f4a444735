/* SPDX-License-Identifier: MIT */
/* Services: the programs of services.bpf.c, the uids of agents in its map, and what each of them uses. */
#include "shell/enforce/bpf.h"
#include "shell/enforce/shared.h"

#include <bpf/bpf.h>

#include <string.h>

BPF_OBJECT(creel_services_object, "services.bpf.o");

static const BpfProgram programs[] = {
	/* first what takes off the count */
	{ "sk_free_security", .lsm = true },
	{ "unix_stream_connect", .lsm = true },
	{ "unix_may_send", .lsm = true },
	{ NULL },
};

static const char *const maps[] = { "confined", "parts", NULL };

static const BpfSource source = {
	.name = "services",
	.object = creel_services_object,
	.object_end = creel_services_object_end,
	.programs = programs,
	.maps = maps,
};

/* What nobody uses any more makes room. One of connections that still are would be taken off another's count. */
static int forget_parts(int map_fd, const EnforceAgents *agents)
{
	uint32_t present[AGENTS_MAX];
	int n = bpf_map_keys32(map_fd, present, ELEMENTSOF(present));

	for (int i = 0; i < n; i++) {
		struct part part;

		if (enforce_agents_has(agents, present[i]) || bpf_map_lookup_elem(map_fd, &present[i], &part) < 0 ||
			part.connections)
			continue;
		if (bpf_map_delete_elem(map_fd, &present[i]) < 0)
			return -errno;
	}
	return n < 0 ? n : 0;
}

int services_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };
	_cleanup_close_ int map_fd = -EBADF;
	int r;

	r = enforce_agents_confine(&source, agents, 1, &set, ret_reason);
	if (r < 0)
		return r;
	map_fd = bpf_set_map(&set, "parts");
	r = map_fd < 0 ? map_fd : forget_parts(map_fd, agents);
	return r < 0 ? enforce_reason(ret_reason, r, "the map of parts: %s", strerror(-r)) : 0;
}

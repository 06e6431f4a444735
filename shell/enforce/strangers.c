/* SPDX-License-Identifier: MIT */
/* Strangers: the program of strangers.bpf.c, and the uids of agents in its map. */
#include "shell/enforce/bpf.h"

#include <string.h>

BPF_OBJECT(creel_strangers_object, "strangers.bpf.o");

static const BpfProgram programs[] = {
	{ "inode_permission", .lsm = true },
	{ "file_lock", .lsm = true },
	{ NULL },
};

static const char *const maps[] = { "confined", NULL };

static const BpfSource source = {
	.name = "strangers",
	.object = creel_strangers_object,
	.object_end = creel_strangers_object_end,
	.programs = programs,
	.maps = maps,
};

int strangers_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };

	return enforce_agents_confine(&source, agents, 1, &set, ret_reason);
}

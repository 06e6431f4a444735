/* SPDX-License-Identifier: MIT */
#include "shell/enforce/bpf.h"
#include "shell/enforce/network.h"

#include <string.h>

BPF_OBJECT(creel_mark_object, "mark.bpf.o");

static const BpfProgram programs[] = {
	{ "mark", .cgroup = true },
	{ NULL },
};

static const char *const maps[] = { NULL };

static const BpfSource source = {
	.name = "mark",
	.object = creel_mark_object,
	.object_end = creel_mark_object_end,
	.programs = programs,
	.maps = maps,
};

int mark_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_(bpf_set_done) BpfSet set = { 0 };
	int r;

	r = bpf_set_open(&source, true, &set, ret_reason);
	if (!r && set.fresh)
		r = bpf_set_attach(&set, ret_reason);
	return r < 0 ? r : bpf_set_commit(&set, &agents->pins, ret_reason);
}

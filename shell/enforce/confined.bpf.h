/* SPDX-License-Identifier: MIT */
/*
 * For programs that hold for whose uid is in a map, which enforce_agents_confine() fills (shell/enforce/bpf.h). To be included
 * behind libbpf's own headers.
 */
#pragma once

#include "shell/enforce/shared.h"

/* By uid: who is held, with the value that its set gives to each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u32);
	__type(value, __u32);
} confined SEC(".maps");

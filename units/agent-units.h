/* SPDX-License-Identifier: MIT */
/* The units of one agent, and those of the whole machine, as drop-ins. */
#pragma once

#include "shell/policy/policy.h"

#include <sys/types.h>

/* What the machine's memory leaves for all agents together: the rest is the system's and the operator's. */
#define MEMORY_RESERVED (UINT64_C(384) << 20)

/* `total` bytes of memory minus MEMORY_RESERVED, but at least a quarter: a tiny machine still gets agents. */
uint64_t agents_memory(uint64_t total);

/*
 * The front's part of `total` bytes: an eighth, which is some hundred connections on the smallest machine. What is above
 * its share of MEMORY_RESERVED comes from the agents', whose processes the kernel ends first.
 */
#define FRONT_MEMORY_MIN (UINT64_C(128) << 20)
#define FRONT_MEMORY_MAX (UINT64_C(1) << 30)
uint64_t front_memory(uint64_t total);

/* user.slice as a whole, and the front's settings. `policy`: the defaults. Returns 0 or a negative errno. */
_must_check_ int machine_units_write(int dir_fd, const Policy *policy, uint64_t memory_total);

/*
 * An agent's slice, user manager, keeper, leaves and rescue unit, and the links that start them at boot.
 * `counted`: limits.processes is held by the kernel's programs; else limits.tasks has to stand in. Returns 0 or a negative
 * errno.
 */
_must_check_ int agent_units_write(int dir_fd, uid_t uid, const Policy *policy, uint64_t memory_total, bool counted);

/*
 * The same units for an agent whose policy cannot be read: none of them can start, and nothing can be born in
 * what already runs. `file` is the bad file's path, and stands in the assertion that fails. Returns 0 or a
 * negative errno.
 */
_must_check_ int agent_units_refuse(int dir_fd, uid_t uid, const char *file, uint64_t memory_total);

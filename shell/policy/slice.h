/* SPDX-License-Identifier: MIT */
/*
 * Where an agent's processes lie in the cgroup tree. `cgroup` is the text of /proc/PID/cgroup without its last newline; on a
 * machine whose tree is not the unified one nothing lies anywhere.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Below the agent's limits: in its slice, or in its rescue leaf. */
bool cgroup_is_agents(const char *cgroup, uid_t uid);

/* In PREFIX@UID.service of its slice. */
bool cgroup_in_unit(const char *cgroup, uid_t uid, const char *prefix);

bool cgroup_in_rescue(const char *cgroup, uid_t uid);

/* "session-5.scope" when that is where it lies, in a scope of logind's below the slice; NULL when not. Part of `cgroup`. */
const char *cgroup_session_scope(const char *cgroup, uid_t uid);

/* SPDX-License-Identifier: MIT */
/*
 * Which session's folder a process lies in, by its cgroup: a scope of logind's below the agent's slice, or a session's folder
 * among the keeper's leaves. Agents can make cgroups in neither place, so the names are not theirs.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define PLACE_SIZE 128U

/*
 * `cgroup`: what /proc/PID/cgroup says. `ret` gets the folder relative to the slice of `uid`, "session-5.scope" or
 * "creel-leaves@1000.service/session-ID". False, `ret` untouched, for what is in no session. Pure.
 */
bool place_parse(const char *cgroup, uid_t uid, char ret[static PLACE_SIZE]);

/* The same of a process that lives. 0, -ENODATA for one in no session, other errnos where it cannot be told. */
_must_check_ int place_read(pid_t pid, uid_t uid, char ret[static PLACE_SIZE]);

/* Of a place: it is logind's scope. */
bool place_is_scope(const char *place);

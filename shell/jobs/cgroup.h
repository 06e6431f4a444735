/* SPDX-License-Identifier: MIT */
/* Places in the cgroup tree of the agent's slice, by path and by the number that the kernel gives them. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUP_PATH_MAX 1024U

/* The cgroup `id` (as in Listener) is `path` ("/user.slice/...") or lies below it. */
bool cgroup_holds(const char *path, uint64_t id);

/* The path of a cgroup of `uid`'s slice. Returns false when it has no such one. */
bool cgroup_path(uid_t uid, uint64_t id, char *buffer, size_t size);

/* One of its processes; 0: there is none. */
pid_t cgroup_process(const char *path);

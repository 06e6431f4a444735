/* SPDX-License-Identifier: MIT */
/*
 * What the kernel counts as the keeper's memory, whoever holds it. Bytes of a result that somebody spliced into a pipe stay
 * charged to the keeper when the result is emptied, and no descriptor tells of them; only the cgroup's own counter does.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * `bytes` more fit into the memory limit of that cgroup, without what the kernel can take back from the cache of files.
 * True as well where there is no limit, or none can be read.
 */
bool room_has(int cgroup_fd, uint64_t bytes);

/* SPDX-License-Identifier: MIT */
#include "shell/keeper/room.h"
#include "shell/run/leaf.h"

static uint64_t less(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

bool room_has(int cgroup_fd, uint64_t bytes)
{
	uint64_t most, held, files, memory_files;

	if (leaf_number(cgroup_fd, "memory.max", &most) < 0 || most == LEAF_UNLIMITED ||
		leaf_number(cgroup_fd, "memory.current", &held) < 0 || bytes <= less(most, held))
		return true;
	/* of `file`, what is shmem has nowhere to go */
	if (leaf_keyed(cgroup_fd, "memory.stat", "file", &files) < 0 ||
		leaf_keyed(cgroup_fd, "memory.stat", "shmem", &memory_files) < 0)
		return true;
	return bytes <= less(most, less(held, less(files, memory_files)));
}

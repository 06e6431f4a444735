/* SPDX-License-Identifier: MIT */
/* What a folder held: enough of each file to tell whether it is new or was changed. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define MEMORY_MAX 100000U /* files */

typedef struct MemoryEntry MemoryEntry;

typedef struct Memory {
	MemoryEntry *entries;
	size_t n, room;
	bool full; /* there were more */
	uint64_t begun_nsec;
} Memory;

/* Remembers a folder, by walk(). `begun_nsec`: CLOCK_REALTIME_COARSE before anything was run. Returns 0 or -ENOMEM. */
_must_check_ int memory_make(int folder_fd, uint64_t begun_nsec, Memory *ret);
void memory_done(Memory *memory);

/* The file was made, moved here or changed since. */
bool memory_is_news(const Memory *memory, const char *path, const struct stat *st);

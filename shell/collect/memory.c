/* SPDX-License-Identifier: MIT */
/*
 * The kernel's time of a change of the inode (ctime) tells almost all, and an agent cannot set it. What it does not tell is
 * which files came with a folder that was moved here; names do. So both are asked, and the folder can be remembered while the run
 * begins already: what it makes meanwhile is news by its time.
 *
 * Times are compared with the coarse clock: it moves in steps of some milliseconds, and no change after its reading has an
 * earlier time. One of the very step counts as news, and from Linux 6.13 on one of the step before it: a file's time may be the
 * fine clock's there (multigrain timestamps), and the coarse one is up to two steps behind that.
 */
#include "shell/collect/memory.h"
#include "shell/collect/walk.h"

#include <string.h>

#define NSEC_PER_SEC UINT64_C(1000000000)

/* Five numbers and no gap between them: compared as bytes. */
struct MemoryEntry {
	uint64_t path; /* FNV-1a of it; together with the inode */
	uint64_t inode, bytes, modified, changed;
};

_Static_assert(sizeof(MemoryEntry) == 5 * sizeof(uint64_t), "there is a gap");

static uint64_t nsec_of(struct timespec time)
{
	return (uint64_t)time.tv_sec * NSEC_PER_SEC + (uint64_t)time.tv_nsec;
}

static MemoryEntry entry_of(const char *path, const struct stat *st)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	for (; *path; path++)
		hash = (hash ^ (uint8_t)*path) * UINT64_C(0x100000001b3);
	return (MemoryEntry){ hash, st->st_ino, (uint64_t)st->st_size, nsec_of(st->st_mtim), nsec_of(st->st_ctim) };
}

static int compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(MemoryEntry));
}

static bool remember(void *userdata, const char *path, const struct stat *st)
{
	Memory *memory = userdata;

	if (memory->n == memory->room) {
		size_t room = memory->room ? 4 * memory->room : 64;
		MemoryEntry *entries =
			memory->n < MEMORY_MAX ? reallocarray(memory->entries, room, sizeof(*memory->entries)) : NULL;

		if (!entries) {
			memory->full = true;
			return false;
		}
		memory->entries = entries;
		memory->room = room < MEMORY_MAX ? room : MEMORY_MAX;
	}
	memory->entries[memory->n++] = entry_of(path, st);
	return true;
}

int memory_make(int folder_fd, uint64_t begun_nsec, Memory *ret)
{
	Memory memory = { .begun_nsec = begun_nsec };

	walk(folder_fd, remember, &memory);
	if (memory.full && memory.n < MEMORY_MAX) {
		memory_done(&memory);
		return -ENOMEM;
	}
	if (memory.n)
		qsort(memory.entries, memory.n, sizeof(*memory.entries), compare);
	*ret = memory;
	return 0;
}

void memory_done(Memory *memory)
{
	free(memory->entries);
	*memory = (Memory){ 0 };
}

bool memory_is_news(const Memory *memory, const char *path, const struct stat *st)
{
	MemoryEntry entry = entry_of(path, st);

	if (entry.changed >= memory->begun_nsec)
		return true;
	if (memory->full)
		return false;
	return !memory->n || !bsearch(&entry, memory->entries, memory->n, sizeof(entry), compare);
}

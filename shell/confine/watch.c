/* SPDX-License-Identifier: MIT */
#include "shell/confine/watch.h"

#include <string.h>
#include <sys/stat.h>

#define FNV_START UINT64_C(14695981039346656037)

int watch_add(Watch *watch, const char *path, bool content)
{
	WatchRow *rows = reallocarray(watch->rows, watch->n + 1, sizeof(*rows));
	char *copy = strdup(path);

	if (rows)
		watch->rows = rows;
	if (!rows || !copy) {
		free(copy);
		return -ENOMEM;
	}
	rows[watch->n++] = (WatchRow){ .path = copy, .content = content };
	return 0;
}

/* FNV-1a, a word at a time: told apart must be changes, not attacks; what is watched by content is root's. */
static uint64_t mix(uint64_t stamp, uint64_t value)
{
	return (stamp ^ value) * UINT64_C(1099511628211);
}

uint64_t watch_stamp(const Watch *watch)
{
	uint64_t stamp = FNV_START;

	for (size_t i = 0; i < watch->n; i++) {
		struct stat st;

		if (lstat(watch->rows[i].path, &st) < 0) {
			stamp = mix(stamp, (uint64_t)errno);
			continue;
		}
		stamp = mix(mix(stamp, st.st_dev), st.st_ino);
		if (watch->rows[i].content) {
			stamp = mix(mix(stamp, (uint64_t)st.st_mtim.tv_sec), (uint64_t)st.st_mtim.tv_nsec);
			stamp = mix(mix(stamp, (uint64_t)st.st_ctim.tv_sec), (uint64_t)st.st_ctim.tv_nsec);
		}
	}
	return stamp;
}

void watch_done(Watch *watch)
{
	for (size_t i = 0; i < watch->n; i++)
		free(watch->rows[i].path);
	free(watch->rows);
	*watch = (Watch){ 0 };
}

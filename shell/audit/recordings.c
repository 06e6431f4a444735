/* SPDX-License-Identifier: MIT */
#include "shell/audit/recordings.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define RESERVED_LEAST (64U * 1024) /* bytes on disk beyond a file's own that are worth a look */

static bool is_recording(const char *name)
{
	size_t n = strlen(name), suffix = strlen(RECORDINGS_SUFFIX);

	return n > suffix && n < RECORDING_NAME_MAX && strcmp(name + n - suffix, RECORDINGS_SUFFIX) == 0;
}

static int by_age(const void *a, const void *b)
{
	const Recording *first = a, *second = b;

	if (first->changed_usec != second->changed_usec)
		return first->changed_usec < second->changed_usec ? -1 : 1;
	return strcmp(first->name, second->name);
}

static DIR *folder_open(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir && fd >= 0)
		(void)close(fd);
	return dir;
}

int recordings_list(int dir_fd, Recording **ret, size_t *ret_n)
{
	_cleanup_closedir_ DIR *dir = folder_open(dir_fd);
	_cleanup_free_ Recording *found = NULL;
	const struct dirent *entry;
	size_t n = 0, room = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		struct stat st;

		if (!is_recording(entry->d_name) || fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 ||
			!S_ISREG(st.st_mode))
			continue;
		if (n == room) {
			Recording *bigger = reallocarray(found, room = room * 2 + 16, sizeof(*found));

			if (!bigger)
				return -ENOMEM;
			found = bigger;
		}
		found[n] = (Recording){
			.bytes = (uint64_t)st.st_size,
			.disk_bytes = (uint64_t)st.st_blocks * 512,
			.changed_usec = (uint64_t)st.st_mtim.tv_sec * 1000000 + (uint64_t)st.st_mtim.tv_nsec / 1000,
		};
		(void)snprintf(found[n].name, sizeof(found[n].name), "%s", entry->d_name);
		n++;
	}
	if (n)
		qsort(found, n, sizeof(*found), by_age);
	*ret = TAKE_PTR(found);
	*ret_n = n;
	return 0;
}

/* One that a recorder which was killed left with all that it had reserved. Returns bytes that it takes now. */
static uint64_t give_back(int dir_fd, const Recording *recording)
{
	_cleanup_close_ int fd = -EBADF;
	const struct timespec times[] = { { .tv_nsec = UTIME_OMIT },
		{ .tv_sec = (time_t)(recording->changed_usec / 1000000),
			.tv_nsec = (long)(recording->changed_usec % 1000000 * 1000) } };
	struct stat st;

	if (recording->disk_bytes < recording->bytes + RESERVED_LEAST)
		return recording->disk_bytes;
	fd = openat(dir_fd, recording->name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	/* whoever still writes to it has the lock; then it is as long as it was, and as old */
	if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0 || ftruncate(fd, st.st_size) < 0 ||
		futimens(fd, times) < 0 || fstat(fd, &st) < 0)
		return recording->disk_bytes;
	return (uint64_t)st.st_blocks * 512;
}

int recordings_prune(int dir_fd, uint64_t before_usec, uint64_t *ret_used)
{
	_cleanup_free_ Recording *found = NULL;
	uint64_t used = 0;
	size_t n = 0;
	int r;

	r = recordings_list(dir_fd, &found, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (found[i].changed_usec >= before_usec || unlinkat(dir_fd, found[i].name, 0) < 0)
			used += give_back(dir_fd, &found[i]);
	}
	*ret_used = used;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * Everything is opened before it is judged, and changed by its descriptor: a name that means something else a moment later
 * changes nothing. O_NONBLOCK, because opening a FIFO would wait.
 */
#include "shell/operator/packages.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define DEPTH_MAX 16U
#define ENTRIES_MAX 200000U

static int take_folder(int dir_fd, gid_t gid, unsigned int depth, size_t *entries);

static int take_entry(int dir_fd, const char *name, gid_t gid, unsigned int depth, size_t *entries)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	if (++*entries > ENTRIES_MAX)
		return -E2BIG;
	/* a socket or a device without a driver cannot be opened, and is refused all the same */
	fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENXIO || errno == ENODEV ? -ELOOP : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return depth < DEPTH_MAX ? take_folder(fd, gid, depth + 1, entries) : -E2BIG;
	if (!S_ISREG(st.st_mode) || st.st_nlink != 1)
		return -ELOOP;
	return fchown(fd, 0, gid) < 0 || fchmod(fd, 0640) < 0 ? -errno : 0;
}

static int take_folder(int dir_fd, gid_t gid, unsigned int depth, size_t *entries)
{
	int copy = fcntl(dir_fd, F_DUPFD_CLOEXEC, 3), r = 0;
	_cleanup_closedir_ DIR *dir = copy < 0 ? NULL : fdopendir(copy);
	const struct dirent *entry;

	if (!dir) {
		r = -errno;
		if (copy >= 0)
			(void)close(copy);
		return r;
	}
	while (r == 0 && (errno = 0, entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			r = take_entry(dir_fd, entry->d_name, gid, depth, entries);
	if (r == 0 && errno)
		r = -errno;
	if (r < 0)
		return r;
	return fchown(dir_fd, 0, gid) < 0 || fchmod(dir_fd, 0750) < 0 ? -errno : 0;
}

int packages_take(int dir_fd, gid_t gid)
{
	size_t entries = 0;

	return take_folder(dir_fd, gid, 0, &entries);
}

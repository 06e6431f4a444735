/* SPDX-License-Identifier: MIT */
/* The manager empties the folder before each run, so that nothing of an agent that is gone stays behind. */
#include "units/unit-dir.h"
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static int open_folder(int dir_fd, const char *name, const char *suffix, int *ret_fd)
{
	_cleanup_free_ char *path = str_format("%s%s", name, suffix);
	int fd;

	if (!path)
		return -ENOMEM;
	if (mkdirat(dir_fd, path, 0755) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int unit_drop_in(int dir_fd, const char *unit, const char *text)
{
	_cleanup_close_ int folder_fd = -EBADF, fd = -EBADF;
	int r;

	r = open_folder(dir_fd, unit, ".d", &folder_fd);
	if (r < 0)
		return r;
	fd = openat(folder_fd, UNIT_DROP_IN, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0644);
	return fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
}

int unit_want(int dir_fd, const char *target, const char *unit, const char *file)
{
	_cleanup_close_ int folder_fd = -EBADF;
	int r;

	r = open_folder(dir_fd, target, ".wants", &folder_fd);
	if (r < 0)
		return r;
	if (symlinkat(file, folder_fd, unit) < 0 && errno != EEXIST)
		return -errno;
	return 0;
}

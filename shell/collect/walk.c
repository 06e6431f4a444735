/* SPDX-License-Identifier: MIT */
#include "shell/collect/walk.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>

static bool walk_folder(Walk *walk, int folder_fd, unsigned int depth);

/* 1: it was walked; 0: it is to be told like a file; -1: enough. */
static int enter(Walk *walk, int folder_fd, const char *name, const struct stat *st, unsigned int depth)
{
	int fd;

	if (!S_ISDIR(st->st_mode) || st->st_dev != walk->device)
		return 0;
	if (depth + 1 >= WALK_DEPTH_MAX)
		return 1;
	fd = openat(folder_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return 1;
	return walk_folder(walk, fd, depth + 1) ? 1 : -1;
}

static bool visit(Walk *walk, int folder_fd, const char *name, unsigned int depth)
{
	size_t length = strlen(name), before = walk->path_n;
	struct stat st;
	int r;

	if (before + length + 2 > sizeof(walk->path) || fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return true;
	memcpy(walk->path + before, name, length + 1);
	walk->path_n += length;
	r = S_ISDIR(st.st_mode) ? 1 : 0;
	if (r) {
		walk->path[walk->path_n++] = '/';
		walk->path[walk->path_n] = '\0';
		r = enter(walk, folder_fd, name, &st, depth);
		walk->path[before + length] = '\0';
	}
	if (!r)
		r = walk->file(walk->userdata, walk->path, &st) ? 1 : -1;
	walk->path_n = before;
	walk->path[before] = '\0';
	return r > 0;
}

/* Takes `folder_fd`. */
static bool walk_folder(Walk *walk, int folder_fd, unsigned int depth)
{
	_cleanup_closedir_ DIR *dir = fdopendir(folder_fd);
	struct dirent *entry;

	if (!dir) {
		fd_close(folder_fd);
		return true;
	}
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			!visit(walk, dirfd(dir), entry->d_name, depth))
			return false;
	return true;
}

void walk(int folder_fd, bool (*file)(void *userdata, const char *path, const struct stat *st), void *userdata)
{
	Walk state = { .file = file, .userdata = userdata };
	struct stat st;
	int fd = openat(folder_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (fstat(fd, &st) < 0) {
		fd_close(fd);
		return;
	}
	state.device = st.st_dev;
	(void)walk_folder(&state, fd, 0);
}

/* The one that a path without its last name leads to; `*path` is that name then. */
static int open_parent(int folder_fd, const char **path, int *ret_fd)
{
	_cleanup_close_ int fd = openat(folder_fd, ".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	const char *slash;

	while (fd >= 0 && (slash = strchr(*path, '/'))) {
		char name[NAME_MAX + 1];
		int next;

		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - *path), *path);
		next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		fd_close(fd);
		fd = next;
		*path = slash + 1;
	}
	if (fd < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int walk_open(int folder_fd, const char *path, int *ret_fd, struct stat *ret_st)
{
	_cleanup_close_ int parent_fd = -EBADF, fd = -EBADF;
	char again[32];
	int r;

	r = open_parent(folder_fd, &path, &parent_fd);
	if (r < 0)
		return r;
	/* it holds the file without opening it: a FIFO has no new reader, a device is not touched */
	fd = openat(parent_fd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;
	if (!S_ISREG(ret_st->st_mode))
		return -ENOTSUP;
	(void)snprintf(again, sizeof(again), "/proc/self/fd/%d", fd);
	r = open(again, O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);
	if (r < 0)
		return -errno;
	*ret_fd = r;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Small files and descriptors, always relative to a directory descriptor. AT_FDCWD is allowed. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>

/*
 * Reads a whole file of at most `max` bytes into new memory with a NUL behind it.
 * `flags` are added to O_RDONLY|O_CLOEXEC|O_NOCTTY|O_NONBLOCK; only regular files are read.
 * Returns 0, -E2BIG (larger than max), -EISDIR, -ENOTSUP (FIFO, device, socket) or open(2)'s and read(2)'s errors.
 */
_must_check_ int file_read_at(int dir_fd, const char *path, int flags, size_t max, char **ret, size_t *ret_size);

/* The same for an open descriptor, from where it stands; any kind of file. */
_must_check_ int file_read_fd(int fd, size_t max, char **ret, size_t *ret_size);

/* Reads a small kernel file (cgroup, proc, sysfs) into `buffer`, NUL behind it, without its last newline. */
_must_check_ int file_get_at(int dir_fd, const char *path, char *buffer, size_t size);

/* Writes `value` in one write(2) to an existing kernel file. Returns 0 or a negative errno. */
_must_check_ int file_put_at(int dir_fd, const char *path, const char *value);

/* Writes all of it to a descriptor that blocks. 0, or write(2)'s error: then a part of it may be there. */
_must_check_ int file_write_all(int fd, const void *bytes, size_t n);

/*
 * Replaces `path` by a new file with that content and mode, by rename(2), durable after return: a reader sees
 * the old file or the new one. The folder must belong to root: no path of an agent's may be passed here.
 */
_must_check_ int file_replace_at(int dir_fd, const char *path, const char *content, size_t n, mode_t mode);

/* SPDX-License-Identifier: MIT */
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int file_read_fd(int fd, size_t max, char **ret, size_t *ret_size)
{
	_cleanup_free_ char *data = NULL;
	size_t room = 4096, used = 0;

	for (;;) {
		char *bigger;
		ssize_t n;

		if (room > max + 1)
			room = max + 1;
		bigger = realloc(data, room + 1);
		if (!bigger)
			return -ENOMEM;
		data = bigger;

		n = read(fd, data + used, room - used);
		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		if (n == 0)
			break;
		used += (size_t)n;
		if (used > max)
			return -E2BIG;
		if (used == room)
			room *= 2;
	}
	data[used] = '\0';
	*ret = TAKE_PTR(data);
	if (ret_size)
		*ret_size = used;
	return 0;
}

int file_read_at(int dir_fd, const char *path, int flags, size_t max, char **ret, size_t *ret_size)
{
	_cleanup_close_ int fd = -EBADF;
	struct stat st;

	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | flags);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	if (!S_ISREG(st.st_mode))
		return -ENOTSUP;
	return file_read_fd(fd, max, ret, ret_size);
}

int file_get_at(int dir_fd, const char *path, char *buffer, size_t size)
{
	_cleanup_close_ int fd = -EBADF;
	ssize_t n;

	fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	n = read(fd, buffer, size - 1);
	if (n < 0)
		return -errno;
	if (n > 0 && buffer[n - 1] == '\n')
		n--;
	buffer[n] = '\0';
	return 0;
}

int file_put_at(int dir_fd, const char *path, const char *value)
{
	_cleanup_close_ int fd = -EBADF;
	size_t n = strlen(value);
	ssize_t k;

	fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		return -errno;
	k = write(fd, value, n);
	if (k < 0)
		return -errno;
	return (size_t)k == n ? 0 : -EIO;
}

int file_write_all(int fd, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n > 0) {
		ssize_t done = write(fd, at, n);

		if (done < 0 && errno == EINTR)
			continue;
		if (done < 0)
			return -errno;
		at += done;
		n -= (size_t)done;
	}
	return 0;
}

int file_replace_at(int dir_fd, const char *path, const char *content, size_t n, mode_t mode)
{
	_cleanup_free_ char *temporary = str_format("%s.new", path);
	_cleanup_close_ int fd = -EBADF;
	int r = 0;

	if (!temporary)
		return -ENOMEM;
	if (unlinkat(dir_fd, temporary, 0) < 0 && errno != ENOENT)
		return -errno;
	fd = openat(dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	for (size_t done = 0; done < n;) {
		ssize_t k = write(fd, content + done, n - done);

		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			r = -errno;
			break;
		}
		done += (size_t)k;
	}
	if (!r && fchmod(fd, mode) < 0)
		r = -errno;
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (!r && renameat(dir_fd, temporary, dir_fd, path) < 0)
		r = -errno;
	if (r)
		(void)unlinkat(dir_fd, temporary, 0);
	return r;
}

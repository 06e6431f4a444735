/* SPDX-License-Identifier: MIT */
#include "tests/tools/fake-capture.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

void capture_add(Capture *capture, const void *bytes, size_t n)
{
	if (capture->room - capture->n < n) {
		capture->room = (capture->n + n) * 2;
		capture->bytes = realloc(capture->bytes, capture->room);
		if (!capture->bytes)
			abort();
	}
	memcpy(capture->bytes + capture->n, bytes, n);
	capture->n += n;
}

static void write_all(int fd, const char *bytes, size_t n)
{
	ssize_t written;

	for (; n && (written = write(fd, bytes, n)) > 0; n -= (size_t)written)
		bytes += written;
}

static void spill(const Capture *capture, char *path, size_t path_size, const char *name)
{
	_cleanup_close_ int fd = -EBADF;
	const char *home = getenv("HOME");

	(void)snprintf(path, path_size, "%s/.creel", home);
	(void)mkdir(path, 0700);
	(void)snprintf(path, path_size, "%s/.creel/output", home);
	(void)mkdir(path, 0700);
	(void)snprintf(path, path_size, "%s/.creel/output/%s", home, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd >= 0)
		write_all(fd, capture->bytes, capture->n);
}

int capture_give(Capture *capture, uint64_t max, uint64_t *ret_head, char *path, size_t path_size, const char *name)
{
	int fd = memfd_create("output", MFD_CLOEXEC);
	size_t head = capture->n;

	path[0] = '\0';
	if (capture->n > max) {
		spill(capture, path, path_size, name);
		head = max / 2;
	}
	if (head)
		write_all(fd, capture->bytes, head);
	if (capture->n > max)
		write_all(fd, capture->bytes + capture->n - (max - head), max - head);
	*ret_head = head;
	return fd;
}

void capture_done(Capture *capture)
{
	free(capture->bytes);
	*capture = (Capture){ 0 };
}

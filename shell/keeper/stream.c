/* SPDX-License-Identifier: MIT */
#include "shell/keeper/stream.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define CHUNK (64 * 1024)        /* bytes of one read: then it is another source's turn */
#define DRAIN_MAX (1024U * 1024) /* more than a pipe holds */
#define ROOM_FIRST 4096U         /* bytes of memory for the first that comes */

void stream_init(Stream *stream, const StreamWatcher *watcher, void *owner, uint64_t room, uint64_t most)
{
	*stream = (Stream){
		.watcher = watcher, .owner = owner, .room = room, .most = most, .fd = -EBADF, .spill = { .fd = -EBADF }
	};
}

/* ---- what is kept ---- */

static size_t head_most(const Stream *stream)
{
	return (size_t)(stream->room - stream->room / 2);
}

static size_t tail_most(const Stream *stream)
{
	return (size_t)(stream->room / 2);
}

static int grow(char **buffer, size_t *room, size_t needed, size_t most)
{
	size_t bigger = *room ? *room : ROOM_FIRST;
	char *p;

	if (needed <= *room)
		return 0;
	while (bigger < needed)
		bigger *= 2;
	if (bigger > most)
		bigger = most;
	p = realloc(*buffer, bigger);
	if (!p)
		return -ENOMEM;
	*buffer = p;
	*room = bigger;
	return 0;
}

/* Into the ring, which starts to turn when it is as large as it may be. */
static int keep_tail(Stream *stream, const char *bytes, size_t n)
{
	const size_t most = tail_most(stream);

	if (n > most) {
		bytes += n - most;
		n = most;
	}
	if (stream->tail_n < most) {
		size_t fits = n < most - stream->tail_n ? n : most - stream->tail_n;

		if (grow(&stream->tail, &stream->tail_room, stream->tail_n + fits, most) < 0)
			return -ENOMEM;
		memcpy(stream->tail + stream->tail_n, bytes, fits);
		stream->tail_n += fits;
		bytes += fits;
		n -= fits;
	}
	while (n > 0) {
		size_t fits = n < most - stream->tail_at ? n : most - stream->tail_at;

		memcpy(stream->tail + stream->tail_at, bytes, fits);
		stream->tail_at = (stream->tail_at + fits) % most;
		bytes += fits;
		n -= fits;
	}
	return 0;
}

static int keep(Stream *stream, const char *bytes, size_t n)
{
	const size_t most = head_most(stream);
	size_t fits = n < most - stream->head_n ? n : most - stream->head_n;

	if (fits) {
		if (grow(&stream->head, &stream->head_room, stream->head_n + fits, most) < 0)
			return -ENOMEM;
		memcpy(stream->head + stream->head_n, bytes, fits);
		stream->head_n += fits;
	}
	return fits == n ? 0 : keep_tail(stream, bytes + fits, n - fits);
}

/* When the first byte is about to be left out, all of it is still in memory, in order. */
static int spill_kept(Stream *stream)
{
	int r = spill_write(&stream->spill, stream->head, stream->head_n);

	return r < 0 || !stream->tail_n ? r : spill_write(&stream->spill, stream->tail, stream->tail_n);
}

static void set_full(Stream *stream, int error)
{
	if (stream->full)
		return;
	stream->full = true;
	stream->watcher->full(stream, error);
}

static void take(Stream *stream, const char *bytes, size_t n)
{
	int r = 0;

	if (stream->bytes + n > stream->room && !stream->unkept) {
		if (stream->bytes <= stream->room)
			r = spill_kept(stream);
		if (!r)
			r = spill_write(&stream->spill, bytes, n);
	}
	if (keep(stream, bytes, n) < 0 && !r)
		r = -ENOMEM;
	stream->bytes += n;
	if (r < 0)
		stream->unkept = true;
	stream->watcher->came(stream, bytes, n);
	if (r == -EFBIG || r == -EDQUOT || r == -ENOSPC)
		/* a file's size, here, is a disk limit; too much output is another thing */
		set_full(stream, -EDQUOT);
	else if (stream->bytes > stream->most)
		set_full(stream, -EFBIG);
}

/* ---- where it comes from ---- */

static char chunk[CHUNK]; /* one thread */

/* Bytes, 0 at the end, -EAGAIN when there is nothing now. */
static ssize_t read_once(Stream *stream)
{
	ssize_t n;

	do
		n = read(stream->fd, chunk, sizeof(chunk));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n > 0)
		take(stream, chunk, (size_t)n);
	return n;
}

static int on_readable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Stream *stream = userdata;
	ssize_t n = read_once(stream);

	/* nobody holds the other end any more, which would wake us for ever */
	if (n == 0 || (n < 0 && n != -EAGAIN))
		stream->source = sd_event_source_disable_unref(stream->source);
	return 0;
}

int stream_attach(Stream *stream, sd_event *event, int fd)
{
	int r = sd_event_add_io(event, &stream->source, fd, EPOLLIN, on_readable, stream);

	if (r < 0)
		return r;
	stream->fd = fd;
	return 0;
}

bool stream_drain(Stream *stream)
{
	const uint64_t before = stream->bytes;
	ssize_t n = -EBADF;

	while (stream->fd >= 0 && stream->bytes - before < DRAIN_MAX && (n = read_once(stream)) > 0)
		;
	return n == 0;
}

void stream_detach(Stream *stream)
{
	stream->source = sd_event_source_disable_unref(stream->source);
	stream->fd = -EBADF;
}

/* ---- what is made of it ---- */

int stream_result(Stream *stream, int *ret_fd, uint64_t *ret_head)
{
	/* no sealing: nobody else may keep it from being taken back */
	_cleanup_close_ int fd = memfd_create("creel-output", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = file_write_all(fd, stream->head, stream->head_n);
	if (!r)
		r = file_write_all(fd, stream->tail + stream->tail_at, stream->tail_n - stream->tail_at);
	if (!r)
		r = file_write_all(fd, stream->tail, stream->tail_at);
	if (!r && fchmod(fd, 0444) < 0)
		r = -errno;
	if (r < 0)
		return r;
	*ret_head = stream->bytes <= stream->room ? stream->bytes : stream->head_n;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

void stream_done(Stream *stream)
{
	stream_detach(stream);
	spill_done(&stream->spill);
	free(TAKE_PTR(stream->head));
	free(TAKE_PTR(stream->tail));
}

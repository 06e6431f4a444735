/* SPDX-License-Identifier: MIT */
#include "shell/tools/lines.h"

#include <limits.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define READ_BYTES (64U * 1024)
#define KEEP_BYTES (1024U * 1024) /* more memory than that is given back once it is empty */

/* ---- reading ---- */

char *line_room(LineReader *reader, size_t *ret_n)
{
	if (reader->start) {
		memmove(reader->bytes, reader->bytes + reader->start, reader->used - reader->start);
		reader->used -= reader->start;
		reader->start = 0;
	}
	if (!reader->used && reader->room > KEEP_BYTES) {
		free(TAKE_PTR(reader->bytes));
		reader->room = 0;
	}
	if (reader->room - reader->used < READ_BYTES) {
		size_t room = reader->room * 2 + 2 * READ_BYTES;
		char *bytes = realloc(reader->bytes, room);

		if (!bytes)
			return NULL;
		reader->bytes = bytes;
		reader->room = room;
	}
	*ret_n = READ_BYTES;
	return reader->bytes + reader->used;
}

void line_added(LineReader *reader, size_t n)
{
	reader->used += n;
}

LineEvent line_next(LineReader *reader, char **ret, size_t *ret_n)
{
	while (reader->used > reader->start + reader->seen) {
		char *line = reader->bytes + reader->start;
		size_t there = reader->used - reader->start;
		char *end = memchr(line + reader->seen, '\n', there - reader->seen);
		size_t n = end ? (size_t)(end - line) : there;
		bool skipped = reader->skipping, too_long = n > reader->max;

		if (!end && !skipped && !too_long) {
			reader->seen = there;
			return LINE_NONE;
		}
		reader->start += n + (end ? 1 : 0);
		reader->seen = 0;
		reader->skipping = !end;
		if (skipped)
			continue;
		if (too_long)
			return LINE_TOO_LONG;
		*ret_n = n && line[n - 1] == '\r' ? n - 1 : n;
		*ret = line;
		return LINE_WHOLE;
	}
	return LINE_NONE;
}

size_t line_pending(const LineReader *reader)
{
	return reader->used - reader->start;
}

void line_reader_done(LineReader *reader)
{
	free(reader->bytes);
	*reader = (LineReader){ .max = reader->max };
}

/* ---- writing ---- */

struct LineWriter {
	int fd;
	sd_event_source *source;
	const LineWriterHandler *handler;
	void *userdata;
	char *bytes;
	size_t room, start, used;
};

/* How much was written; 0: not now. */
static ssize_t write_some(const LineWriter *writer)
{
	const char *at = writer->bytes + writer->start;
	size_t n = writer->used - writer->start;
	struct pollfd ready = { .fd = writer->fd, .events = POLLOUT };
	ssize_t written = send(writer->fd, at, n, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (written < 0 && errno == ENOTSOCK) {
		if (poll(&ready, 1, 0) <= 0)
			return 0;
		/* a pipe that is ready takes that many bytes at once */
		written = write(writer->fd, at, n < PIPE_BUF ? n : PIPE_BUF);
	}
	if (written < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	return written < 0 ? -errno : written;
}

static int flush_bytes(LineWriter *writer)
{
	ssize_t n;

	while (writer->start < writer->used) {
		n = write_some(writer);
		if (n < 0)
			return (int)n;
		if (n == 0)
			break;
		writer->start += (size_t)n;
	}
	if (writer->start == writer->used) {
		writer->start = writer->used = 0;
		if (writer->room > KEEP_BYTES) {
			free(TAKE_PTR(writer->bytes));
			writer->room = 0;
		}
	}
	return writer->source ? sd_event_source_set_io_events(writer->source, writer->used ? EPOLLOUT : 0) : 0;
}

static int on_writable(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	LineWriter *writer = userdata;
	int r = events & EPOLLERR ? -EPIPE : flush_bytes(writer);

	if (r < 0) {
		(void)sd_event_source_set_enabled(source, SD_EVENT_OFF);
		writer->handler->failed(writer->userdata, r);
	} else {
		writer->handler->progress(writer->userdata);
	}
	return 0;
}

int line_writer_new(sd_event *event, int fd, const LineWriterHandler *handler, void *userdata, LineWriter **ret)
{
	_cleanup_(line_writer_freep) LineWriter *writer = calloc(1, sizeof(*writer));
	int r;

	if (!writer)
		return -ENOMEM;
	*writer = (LineWriter){ .fd = fd, .handler = handler, .userdata = userdata };
	/* without events it still hears that the reader is gone */
	r = sd_event_add_io(event, &writer->source, fd, 0, on_writable, writer);
	if (r < 0 && r != -EPERM) /* a regular file: never waited for */
		return r;
	*ret = TAKE_PTR(writer);
	return 0;
}

LineWriter *line_writer_free(LineWriter *writer)
{
	if (!writer)
		return NULL;
	sd_event_source_disable_unref(writer->source);
	free(writer->bytes);
	free(writer);
	return NULL;
}

int line_write(LineWriter *writer, const char *text, size_t n)
{
	if (writer->room - writer->used < n + 1) {
		size_t room;
		char *bytes;

		if (writer->start)
			memmove(writer->bytes, writer->bytes + writer->start, writer->used - writer->start);
		writer->used -= writer->start;
		writer->start = 0;
		room = writer->used + n + 1 + READ_BYTES;
		bytes = realloc(writer->bytes, room);
		if (!bytes)
			return -ENOMEM;
		writer->bytes = bytes;
		writer->room = room;
	}
	memcpy(writer->bytes + writer->used, text, n);
	writer->bytes[writer->used + n] = '\n';
	writer->used += n + 1;
	return flush_bytes(writer);
}

size_t line_waiting(const LineWriter *writer)
{
	return writer->used - writer->start;
}

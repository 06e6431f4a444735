/* SPDX-License-Identifier: MIT */
/* Lines from a descriptor and to one, each bounded: what the JSON servers speak. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <systemd/sd-event.h>

/* ---- reading; pure ---- */

typedef enum LineEvent {
	LINE_NONE,     /* more bytes are needed */
	LINE_WHOLE,    /* a line, without its end (LF or CR LF) */
	LINE_TOO_LONG, /* one that is longer than the bound; told once, and the rest of it is dropped */
} LineEvent;

typedef struct LineReader {
	char *bytes;
	size_t room, start, used, seen;
	size_t max; /* bytes of a line */
	bool skipping;
} LineReader;

/* Where the next bytes go, at least one: read there, then call line_added(). NULL when memory is out. */
_must_check_ char *line_room(LineReader *reader, size_t *ret_n);
void line_added(LineReader *reader, size_t n);

/* `ret` belongs to the reader, and is good until line_room(). */
LineEvent line_next(LineReader *reader, char **ret, size_t *ret_n);

/* Bytes that no end of line followed: not 0 at the end of the input is half a line. */
size_t line_pending(const LineReader *reader);
void line_reader_done(LineReader *reader);

/* ---- writing ---- */

/*
 * Never blocks, and never changes the descriptor's flags, as others may share it. What cannot be written yet waits in
 * memory: it is the caller's to stop its own sources while line_waiting() is large.
 */
typedef struct LineWriter LineWriter;

/* `progress`: something that waited was written. `failed`: nobody reads any more (negative errno). */
typedef struct LineWriterHandler {
	void (*progress)(void *userdata);
	void (*failed)(void *userdata, int r);
} LineWriterHandler;

/* `fd` is borrowed. */
_must_check_ int line_writer_new(
	sd_event *event, int fd, const LineWriterHandler *handler, void *userdata, LineWriter **ret);
/* Accepts NULL. Returns NULL. What waits is lost. */
LineWriter *line_writer_free(LineWriter *writer);
DEFINE_CLEANUP(LineWriter, line_writer_free)

/* Adds a line (its end is added to it). Returns 0 or a negative errno. */
_must_check_ int line_write(LineWriter *writer, const char *text, size_t n);
size_t line_waiting(const LineWriter *writer);

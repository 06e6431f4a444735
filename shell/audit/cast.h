/* SPDX-License-Identifier: MIT */
/*
 * A recording of a terminal: asciicast v2 (docs.asciinema.org/manual/asciicast/v2/), a line of JSON for each event behind a line
 * about the whole. What the terminal showed and how large it was; what was typed only as far as the terminal shows it, so that no
 * password is in it that a program reads without echo.
 *
 * Secrets are left out of each event as of each value of a record (redact.h): one that comes in two writes is not found.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CAST_LEAST 65536U /* bytes: with less room nothing is recorded */
#define CAST_HELD 4U

typedef struct CastHeader {
	unsigned int columns, rows;
	uint64_t since_usec; /* CLOCK_REALTIME */
	const char *title, *term, *shell;
} CastHeader;

typedef struct Cast {
	int fd;                    /* borrowed; -EBADF: nothing is written any more */
	uint64_t began_usec, left; /* CLOCK_MONOTONIC; bytes that may still be written */
	char held[CAST_HELD];      /* a character that is not complete yet */
	size_t held_n;
} Cast;

/* `most`: bytes, at least CAST_LEAST. Returns 0, or a negative errno: nothing can be recorded. */
_must_check_ int cast_begin(Cast *cast, int fd, uint64_t most, uint64_t now_usec, const CastHeader *header);

/*
 * `now_usec`: CLOCK_MONOTONIC. Where the room ends or a write fails, the last event says so as far as it can, and nothing follows it:
 * the terminal goes on.
 */
void cast_output(Cast *cast, uint64_t now_usec, const char *data, size_t n);
void cast_size(Cast *cast, uint64_t now_usec, unsigned int columns, unsigned int rows);

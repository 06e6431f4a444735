/* SPDX-License-Identifier: MIT */
/*
 * A run's result as one message of a channel: within its limit, and so that no output can leave its frame, call people or
 * set links. What differs between channels is a row of a table; one walker writes for all of them.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RENDER_UNLIMITED SIZE_MAX
#define RENDER_LINES_MAX 500U   /* of each part: above it the middle is left out for the reader's sake */
#define RENDER_LANGUAGE_MAX 32U /* bytes of [A-Za-z0-9_+.#-]+ */

typedef struct RenderChannel {
	const char *name;
	size_t limit;         /* UTF-16 code units of a message */
	bool counts_markup;   /* a channel that parses before it counts does not */
	bool entities;        /* & < > are written &amp; &lt; &gt; */
	bool fences;          /* frames are rows of backticks, so none may stand in a text */
	bool parses_mentions; /* @everyone calls people wherever it stands */
	bool parses_links;    /* addresses become links inside of frames, too */
	const char *open;     /* a frame */
	const char *open_as;  /* ... with a language: two strings around its name; NULL: the channel knows none */
	const char *open_as_end;
	const char *close;
	const char *close_as;
	const char *code, *code_end; /* around a few words within a line */
} RenderChannel;

typedef struct RenderText {
	const char *s; /* any bytes; not terminated */
	size_t n;
} RenderText;

typedef struct RenderFile {
	const char *name, *status; /* "ok", "too-large", "type", "special", "changed" */
	uint64_t bytes;
} RenderFile;

/* Strings are NULL where there is none. All of it is untrusted, but for `language` (render_language_valid()). */
typedef struct RenderRequest {
	RenderText code, stdout_text, stderr_text;
	const char *language; /* of the code */
	const char *error;
	const RenderFile *files;
	size_t n_files;
	const char *stdout_file, *stderr_file; /* that hold all of it */
	const char *full_file;                 /* named where something is left out and neither of the two is there */
	bool left_out;                         /* the texts themselves are not all */
} RenderRequest;

/* NULL: there is no such channel. */
const RenderChannel *render_channel(const char *name);
/* In the table's order, NULL after the last. */
const RenderChannel *render_channel_at(size_t index);

bool render_language_valid(const char *language);

/*
 * Writes the message, without an end of line. `ret_shortened`: something of the texts was left out. Returns 0, or -ENOMEM with nothing written that
 * could be sent.
 */
_must_check_ int render(const RenderChannel *channel, const RenderRequest *request, FILE *file, bool *ret_shortened);

/* SPDX-License-Identifier: MIT */
/* Cleaned text (clean.h) written into a channel's frame, and where it may be cut. */
#pragma once

#include "shell/tools/render.h"

/* What was written so far. `file` NULL: it is only counted. */
typedef struct Walker {
	const RenderChannel *channel;
	FILE *file;
	size_t cost;      /* as the channel counts */
	size_t backticks; /* in a row, right before */
} Walker;

/* Untrusted text that was cleaned. */
void walk_text(Walker *walker, const char *s, size_t n);
/* Our own words: nothing in them acts. */
void walk_words(Walker *walker, const char *s);
/* The channel's own signs. */
void walk_markup(Walker *walker, const char *s);

/* What is shown of a text: [0, head) and [tail, n). All of it where they meet. */
typedef struct Cut {
	size_t head, tail;
} Cut;

/* More than RENDER_LINES_MAX lines: the first and the last of them. */
Cut cut_lines(const char *s, size_t n);
/*
 * Narrows `cut` so that walk_cut() costs at most `budget`, which is at least CUT_LEAST: at ends of lines where they are near, else
 * between characters as readers see them.
 */
#define CUT_LEAST 64U
Cut cut_fit(const RenderChannel *channel, const char *s, size_t n, Cut cut, size_t budget);

/* The text with "... N lines left out ..." where something is. */
void walk_cut(Walker *walker, const char *s, size_t n, Cut cut);

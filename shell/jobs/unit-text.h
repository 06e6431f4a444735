/* SPDX-License-Identifier: MIT */
/*
 * The text of a unit file, read and changed line by line: what is not asked for stays byte by byte as a person wrote it.
 * Lines that end with a backslash go on, as systemd.syntax(7) has it. Pure.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

#define UNIT_TEXT_MAX (1024U * 1024) /* bytes of a file, and of a line of it: systemd takes no longer ones */

/*
 * One assignment. `value` is without blanks around it, and its lines joined by blanks; NULL for a comment, whose text is `key`.
 * `start` and `end` are where its lines begin, and where the next one does.
 */
typedef struct UnitLine {
	const char *section; /* "" before the first */
	const char *key, *value;
	size_t start, end;
} UnitLine;

typedef struct UnitText UnitText;

/* Copies. Returns 0 or -ENOMEM; lines that are neither section nor assignment nor comment are not told. */
_must_check_ int unit_text_parse(const char *text, UnitText **ret);

/* Accepts NULL. Returns NULL. */
UnitText *unit_text_free(UnitText *text);
DEFINE_CLEANUP(UnitText, unit_text_free)

/* From 0 on, until NULL. Valid until the text is freed. */
const UnitLine *unit_text_line(const UnitText *text, size_t index);

/* The last value of a key in a section, or NULL. An empty one means none: what was before it does not count. */
const char *unit_text_value(const UnitText *text, const char *section, const char *key);

/*
 * Makes a new text of `old`: lines `start` to `end` (of a UnitLine) become `line`, which has no line feed; start and end equal: it is
 * put there. NULL when memory is out.
 */
_must_check_ char *unit_text_replace(const char *old, size_t start, size_t end, const char *line);

/* `line` at the end of a section, which is made at the end of the text when there is none. NULL when memory is out. */
_must_check_ char *unit_text_append(const char *old, const char *section, const char *line);

/* The last assignment of the key says `value`; where there is none, it is appended. NULL when memory is out. */
_must_check_ char *unit_text_set(const char *old, const char *section, const char *key, const char *value);

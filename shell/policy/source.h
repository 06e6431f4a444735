/* SPDX-License-Identifier: MIT */
/* One policy file: its keys as text, with their lines. Knows the table, not what the values mean together. */
#pragma once

#include "shell/policy/table.h"

typedef enum SourceKind { SOURCE_SYSTEM, SOURCE_PROFILE, SOURCE_AGENT } SourceKind;

#define SOURCE_FILE_MAX (64U * 1024) /* bytes */
#define SOURCE_LINE_MAX 197U         /* bytes of a line: what inih's buffer holds */

typedef struct PolicySource {
	SourceKind kind;
	char *label;                    /* the file's name in messages: its path below the root */
	char *text[POLICY_KEYS_MAX];    /* by row of the table; NULL: not set here */
	unsigned line[POLICY_KEYS_MAX]; /* where the key stands */
} PolicySource;

/* Frees what it holds; it may be used again. */
void policy_source_done(PolicySource *source);

/*
 * Parses `n` bytes into an empty source. Returns 0, -ENOMEM, or -EBADMSG with `ret_error`.
 * Each value was also parsed on its own (into a scratch policy), so that what remains are contradictions.
 */
_must_check_ int policy_source_parse(
	PolicySource *source, SourceKind kind, const char *label, const char *data, size_t n, PolicyError *ret_error);

/*
 * Reads the file `label` below `root` and parses it. It must be a regular file of at most SOURCE_FILE_MAX
 * bytes; with an empty root it must also belong to root and be writable by nobody else. Returns 0, -ENOENT,
 * -EBADMSG, or another negative errno; `ret_error` is filled in each case but 0.
 */
_must_check_ int policy_source_read(
	PolicySource *source, SourceKind kind, const char *root, const char *label, PolicyError *ret_error);

/* Fills `ret_error` and returns `error`. LINE 0: no line. */
int policy_error_set(PolicyError *ret_error, int error, const char *label, unsigned line, const char *format, ...)
	_printf_(5, 6);

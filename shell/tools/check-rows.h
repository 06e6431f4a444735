/* SPDX-License-Identifier: MIT */
/*
 * What creel check can run, as a table: for each language and kind of check some programs, the first of which that is installed and
 * that fits the project does it. Nothing that is here changes a file.
 */
#pragma once

#include "shell/tools/check-files.h"

typedef enum CheckKind { CHECK_FORMAT, CHECK_LINT, CHECK_TEST, CHECK_KINDS_N } CheckKind;

enum {
	CHECK_NAMES = 1,       /* names of files stand behind its arguments */
	CHECK_NAMES_APART = 2, /* ... it takes one at a time */
	CHECK_SILENT = 4,      /* what it writes is what is wrong, whatever its exit status */
	CHECK_TESTS = 8,       /* only where there are files of tests */
};

#define CHECK_WORDS_MAX 8U
#define CHECK_NEEDS_MAX 6U

typedef struct CheckRow {
	CheckKind kind;
	CheckLanguage language;
	const char *name; /* as it is shown */
	const char
		*program; /* an executable of the project's own (.venv/bin, venv/bin, node_modules/.bin) or of PATH */
	const char *words[CHECK_WORDS_MAX];
	unsigned int flags;
	int nothing;                        /* the exit status that says: there was nothing to do; 0: none */
	const char *needs[CHECK_NEEDS_MAX]; /* one of these is in the folder; none: it fits any */
} CheckRow;

const char *check_kind_name(CheckKind kind);

/*
 * Which row does that check in `files`. Returns it with the program's absolute path, NULL in both where there is nothing to check or
 * nothing that could: then `ret_missing` names what is not installed, as "a, b", "" where nothing is to be checked. `path` is PATH.
 */
const CheckRow *check_row_find(const CheckFiles *files, CheckKind kind, CheckLanguage language, const char *path,
	char **ret_program, char **ret_missing);

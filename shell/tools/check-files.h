/* SPDX-License-Identifier: MIT */
/* The files that creel check looks at: below a folder, by language. Links are not followed. */
#pragma once

#include "shell/base/str.h"

#include <stdbool.h>

/* The order is the one in which they are shown. */
typedef enum CheckLanguage {
	CHECK_PYTHON,
	CHECK_SHELL,
	CHECK_JAVASCRIPT,
	CHECK_TYPESCRIPT,
	CHECK_JSON,
	CHECK_YAML,
	CHECK_C,
	CHECK_GO,
	CHECK_RUST,
	CHECK_MAKE, /* a Makefile with the target `test` */
	CHECK_LANGUAGES_N,
} CheckLanguage;

#define CHECK_FILES_MAX 10000U
#define CHECK_DEPTH_MAX 32U
#define CHECK_NAMES_BYTES (4U << 20) /* of all names together */

typedef struct CheckFiles {
	char *folder; /* absolute */
	bool whole;   /* the folder was named, not one file of it: what checks whole projects may run */
	StrList names[CHECK_LANGUAGES_N]; /* relative to it, with ./ first, in the order of the folder */
	unsigned int tests;               /* bits of languages that have files of tests among these */
	bool cut;                         /* there are more than the bounds above */
	size_t bytes, n;
} CheckFiles;

const char *check_language_name(CheckLanguage language);

/* What a file is by its name, or CHECK_LANGUAGES_N; where there is no extension, `first` (NULL: unknown) is its first line. Pure. */
CheckLanguage check_language_of(const char *name, const char *first);
bool check_is_test(CheckLanguage language, const char *name); /* of a path's last part; pure */

/*
 * `path` is a folder or a file. What is generated or fetched is passed over: hidden folders, node_modules, virtual environments,
 * __pycache__, build, dist, vendor, target. Returns 0 or a negative errno; the caller calls check_files_done() in any case.
 */
_must_check_ int check_files_find(const char *path, CheckFiles *ret);
void check_files_done(CheckFiles *files);

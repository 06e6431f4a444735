/* SPDX-License-Identifier: MIT */
/* Strings: bounded parsing of numbers, escaping of what others wrote, small owned lists. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Decimal digits only - no sign, no blanks - up to `max`.
 * Returns 0, -EINVAL (not a number) or -ERANGE (above max); `ret` is untouched on failure.
 */
_must_check_ int str_to_u64(const char *s, uint64_t max, uint64_t *ret);

/*
 * Copies `n` bytes of untrusted text into `buffer` (always terminated), control characters, quotes,
 * backslashes and non-ASCII bytes as \xNN, cut with "..." at the end when it does not fit.
 * Returns `buffer`, so that it can stand in a log call.
 */
const char *str_quote(const char *s, size_t n, char *buffer, size_t size);

/*
 * One word for a POSIX shell, in quotes where it needs them, in new memory; with control characters for bash, $'\x1b'. NULL when memory
 * is out.
 */
_must_check_ char *str_shell_word(const char *s);

/* Bytes for people: "0", "512", "1.5G" (powers of 1024, four digits); UINT64_MAX is "max". Returns `buffer`. */
const char *str_size(uint64_t bytes, char *buffer, size_t size);

/* printf into new memory. NULL when memory is out. */
_must_check_ char *str_format(const char *format, ...) _printf_(1, 2);

/* Replaces `*slot` (owned, may be NULL) by a copy of `text`. Returns 0, or -ENOMEM with `*slot` untouched. */
_must_check_ int str_set(char **slot, const char *text);

/* `a` and `b` are equal; NULL equals only NULL. */
bool str_equal(const char *a, const char *b);

/* A list of owned strings, always NULL-terminated once something was added. */
typedef struct StrList {
	char **items;
	size_t n;
} StrList;

/* Both return 0 or -ENOMEM; strlist_push() takes `s` also on failure. */
_must_check_ int strlist_add(StrList *list, const char *s);
_must_check_ int strlist_push(StrList *list, char *s);
bool strlist_contains(const StrList *list, const char *s);
void strlist_done(StrList *list);

#define _cleanup_strlist_ _cleanup_(strlist_done)

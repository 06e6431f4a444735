/* SPDX-License-Identifier: MIT */
/*
 * Words of a line in a unit file, as systemd.syntax(7) and systemd.service(5) quote them: a word that is written here is read by
 * the service manager as the same bytes. Pure.
 *
 * Two layers, the outer one first: quotes and backslashes around words; within a word %, which begins a specifier, and in
 * command lines $, which begins a variable.
 */
#pragma once

#include "shell/base/str.h"

/* `s` with every % doubled and, for command lines, every $. NULL when memory is out. */
_must_check_ char *unit_escape(const char *s, bool command);

/*
 * The other way, in place. Returns 0, or -EINVAL when `s` has a specifier or a variable, which only the service manager can
 * replace; `s` is then as it was.
 */
int unit_unescape(char *s, bool command);

/* The words of a line, quoted where they need it. NULL when memory is out. */
_must_check_ char *unit_words_join(char *const *words, size_t n);

/* Adds the words of a line. Returns 0, -ENOMEM, or -EINVAL (an open quote, an unknown escape). */
_must_check_ int unit_words_split(const char *line, StrList *ret);

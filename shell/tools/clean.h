/* SPDX-License-Identifier: MIT */
/* Text that others wrote, made fit to be looked at: it shows what it is, and nothing in it acts on who reads it. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

/*
 * `n` bytes of anything as new memory, `*ret_n` bytes of valid UTF-8 with a NUL behind them. Lines end with a line feed alone. What does
 * not show is written as \xNN, \uNNNN or \UNNNNNNNN: control characters, changes of direction, zero widths that no script or
 * picture needs there, marks without a character to sit on, and more marks than any script piles up. Colours are dropped. Bytes that are no UTF-8 and
 * noncharacters become U+FFFD. `one_line`: line feeds and tabs are written as \xNN, too.
 * Returns 0 or -ENOMEM.
 */
_must_check_ int text_clean(const char *s, size_t n, bool one_line, char **ret, size_t *ret_n);

/* There is something to see in it. */
bool text_shows(const char *s, size_t n);

/* SPDX-License-Identifier: MIT */
/* UTF-8 as RFC 3629 has it: shortest form, no surrogates, nothing above U+10FFFF. Pure. */
#pragma once

#include <stddef.h>

/* Bytes of the character that starts at `s`; 0: none that is valid does. `n` is not 0. */
size_t utf8_length(const void *s, size_t n);

/* How many of the last bytes are the begin of a character that the end cuts; 0 to 3. */
size_t utf8_cut(const void *s, size_t n);

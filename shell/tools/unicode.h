/* SPDX-License-Identifier: MIT */
/* Characters: UTF-8 read strictly, and what a character does to how the ones around it look. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UNICODE_REPLACEMENT 0xfffdU
#define UNICODE_BYTES_MAX 4U /* of one character in UTF-8 */

/*
 * The character that starts at `s` (`n` is at least 1): its number in `ret`, its bytes returned. UNICODE_REPLACEMENT, one
 * byte, where there is none by RFC 3629: shortest form only, no surrogates, nothing above U+10FFFF.
 */
size_t unicode_read(const char *s, size_t n, uint32_t *ret);

/* Writes `character` as UTF-8 and returns its bytes. Surrogates and what is above U+10FFFF become UNICODE_REPLACEMENT. */
size_t unicode_write(uint32_t character, char buffer[static UNICODE_BYTES_MAX]);

/* It sits upon the character before it: accents, vowel signs, marks around it (general category M, variation selectors). */
bool unicode_is_mark(uint32_t character);

/* Nothing is seen of it: zero widths, joiners, fillers, tags, variation selectors, byte order marks. */
bool unicode_is_invisible(uint32_t character);

/* It changes the direction of what follows, or ends a line in some readers only. */
bool unicode_is_misleading(uint32_t character);

/* C0 but for line feed and tab, DEL, C1. */
bool unicode_is_control(uint32_t character);

/*
 * Bytes of what a reader takes for one character at `s` (`n` is at least 1): with its marks, skin tones, joined pictures, the
 * second half of a flag. Bounded: after UNICODE_MARKS_MAX followers the next one begins.
 */
#define UNICODE_MARKS_MAX 16U
size_t unicode_cluster(const char *s, size_t n);

/* UTF-16 code units of `n` bytes of valid UTF-8: what most messengers count. */
size_t unicode_units(const char *s, size_t n);

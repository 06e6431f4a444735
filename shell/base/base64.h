/* SPDX-License-Identifier: MIT */
/* Base64 (RFC 4648 section 4) with its padding, and nothing more forgiving: spare bits must be 0. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Bytes that `n` characters can decode to, at most. */
#define BASE64_DECODED_MAX(n) ((n) / 4 * 3)

/*
 * Decodes `n` characters into `ret`, which has room for BASE64_DECODED_MAX(n). `lines`: line ends may stand
 * anywhere. Returns 0 or -EBADMSG; then `ret` may have been written to, and `ret_n` was not.
 */
_must_check_ int base64_decode(const char *text, size_t n, bool lines, uint8_t *ret, size_t *ret_n);

/* Characters that `n` bytes are encoded to. */
#define BASE64_ENCODED_MAX(n) (((n) + 2) / 3 * 4)

/* Encodes `n` bytes, with padding and without a NUL, into `ret`, which has room for BASE64_ENCODED_MAX(n). Returns how many. */
size_t base64_encode(const uint8_t *data, size_t n, char *ret);

/* The text is the base64 form of exactly these bytes. */
bool base64_equals(const char *text, size_t n, const uint8_t *data, size_t data_n);

/* SPDX-License-Identifier: MIT */
/* The data types of RFC 4251 section 5, read from bytes that nobody believes. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads forward; what is missing sets `failed`, and every further result is 0 or empty. */
typedef struct Blob {
	const uint8_t *at;
	size_t left;
	bool failed;
} Blob;

typedef struct Slice {
	const uint8_t *data;
	size_t n;
} Slice;

uint8_t blob_get_byte(Blob *blob);
uint32_t blob_get_u32(Blob *blob);
/* `n` bytes without a length in front; points into the blob. */
Slice blob_get_raw(Blob *blob, size_t n);
/* RFC 4251 string; points into the blob. */
Slice blob_get_string(Blob *blob);
/* RFC 4251 mpint that is positive and minimally encoded: the magnitude without the leading zero byte. */
Slice blob_get_mpint(Blob *blob);
/* Everything was read and nothing was wrong. */
bool blob_done(const Blob *blob);

bool slice_equal(Slice slice, const char *s);

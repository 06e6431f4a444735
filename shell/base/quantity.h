/* SPDX-License-Identifier: MIT */
/* Numbers with units, as policy files, command lines and requests write them. Pure. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

typedef enum QuantityKind {
	QUANTITY_COUNT, /* 50 */
	QUANTITY_SIZE,  /* bytes: 256M; powers of 1024 */
	QUANTITY_TIME,  /* microseconds: 30s */
	QUANTITY_CORES, /* microseconds of CPU time a second: 0.5 */
} QuantityKind;

#define QUANTITY_UNLIMITED UINT64_MAX /* written `max`, which quantity_parse() does not take: not every number has it */

/* Of two limits the one that counts. */
static inline uint64_t quantity_smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* Returns 0, -EINVAL (not in that notation) or -ERANGE (too large for 64 bits); `ret` is untouched on failure. */
_must_check_ int quantity_parse(QuantityKind kind, const char *text, uint64_t *ret);

/* In the largest unit that divides it, or `max`: what quantity_parse() takes. Returns `buffer`; 32 bytes are enough. */
const char *quantity_text(QuantityKind kind, uint64_t value, char *buffer, size_t size);

/* "a size in bytes: digits, then K, M, G or T, as in 256M": what would have been accepted. */
const char *quantity_notation(QuantityKind kind);

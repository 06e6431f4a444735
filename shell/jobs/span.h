/* SPDX-License-Identifier: MIT */
/* Spans and points of time as words: what `--timeout` takes, and what tables show. Pure. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>
#include <stdint.h>

#define USEC_PER_SEC UINT64_C(1000000)
#define USEC_UNKNOWN UINT64_MAX

/*
 * "90", "90s", "1.5h", "1h30m", "2d", "500ms": microseconds; a number alone is seconds. At most 10 years.
 * Returns 0, -EINVAL (not in that notation) or -ERANGE; `ret` is untouched on failure.
 */
_must_check_ int span_parse(const char *text, uint64_t *ret);

/* "0.3s", "12s", "3m 5s", "2h 10m", "4d 3h", "-" for USEC_UNKNOWN. Returns `buffer`; 32 bytes are enough. */
const char *span_text(uint64_t usec, char *buffer, size_t size);

/* "2026-02-22 13:05:00", local time, "-" for 0 and USEC_UNKNOWN. Returns `buffer`; 32 bytes are enough. */
const char *when_text(uint64_t realtime_usec, char *buffer, size_t size);

/* "2026-02-22T13:05:00Z", for programs; "" for 0 and USEC_UNKNOWN. Returns `buffer`. */
const char *when_json(uint64_t realtime_usec, char *buffer, size_t size);

/* Microseconds since 1970. */
uint64_t now_realtime(void);
/* Microseconds since the boot, while the machine was awake. */
uint64_t now_monotonic(void);

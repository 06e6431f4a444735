/* SPDX-License-Identifier: MIT */
/* Points in time as an operator writes them. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

/*
 * `2026-11-22`, `2026-11-22 10:30`, `2026-11-22T10:30:00` (the machine's time zone), `@1790000000` (seconds since 1970), `now`,
 * `today`, `yesterday` (its beginning), or how long ago: 90s, 15m, 2h, 7d. `now_usec`: CLOCK_REALTIME. Returns 0 or -EINVAL.
 */
_must_check_ int when_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec);

/* SPDX-License-Identifier: MIT */
/* A bound on how often something may be said: `burst` at once, then one every `interval_usec`. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Rate {
	uint64_t interval_usec;
	uint32_t burst;
	/* private */
	uint64_t next_usec;
	uint64_t suppressed;
} Rate;

/*
 * May it be said now? When it may, `ret_suppressed` (may be NULL) is how many were held back since the last that was said.
 * The clock is CLOCK_MONOTONIC.
 */
bool rate_take(Rate *rate, uint64_t *ret_suppressed);

/* CLOCK_MONOTONIC and CLOCK_REALTIME in microseconds. */
uint64_t clock_monotonic_usec(void);
uint64_t clock_realtime_usec(void);

/* SPDX-License-Identifier: MIT */
/* Points of time as text, by RFC 3339. */
#pragma once

#include <stdint.h>

#define MOMENT_SIZE 32

/* CLOCK_REALTIME in microseconds as "2026-02-22T13:05:00Z"; "" where it is none. Returns `buffer`. */
const char *moment_utc(uint64_t usec, char buffer[static MOMENT_SIZE]);

/* The same in this machine's time, "2026-02-22T14:05:00+0100"; "?" where it is none. */
const char *moment_local(uint64_t usec, char buffer[static MOMENT_SIZE]);

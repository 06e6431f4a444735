/* SPDX-License-Identifier: MIT */
/* What the clocks of a time zone showed and will show: its offset from UTC, and each change of that. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ZONE_NAME_MAX 64U

typedef struct ZoneChange {
	int64_t at;            /* the first minute since the epoch that it holds for */
	int32_t before, after; /* minutes east of UTC */
} ZoneChange;

typedef struct Zone {
	ZoneChange *changes; /* in order */
	size_t n;
	int32_t first; /* minutes east of UTC at the beginning */
} Zone;

/*
 * Reads the zone of that name (tzdata's; "": the machine's own) from `from` to `to`, seconds since the epoch.
 * The caller frees. Returns 0, -ENOENT (no such zone here), -EINVAL (no name of a zone), -ENOMEM.
 * Context: a program of one thread; the C library's own zone (TZ) is another one meanwhile.
 */
_must_check_ int zone_load(const char *name, int64_t from, int64_t to, Zone **ret);

/* Accepts NULL. Returns NULL. */
Zone *zone_free(Zone *zone);
DEFINE_CLEANUP(Zone, zone_free)

/* There is a zone of that name. "" is one. */
bool zone_is_there(const char *name);

/* The change that the minute lies behind, or in which it begins; NULL: before all of them. */
const ZoneChange *zone_change(const Zone *zone, int64_t minute);

/* Minutes east of UTC. */
int32_t zone_offset(const Zone *zone, int64_t minute);

/* SPDX-License-Identifier: MIT */
/* What the agent uses beside what it may use: of all that it runs together. */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define METER_WARN_PERCENT 80U
#define METER_FULL_PERCENT 95U

typedef enum MeterUnit { METER_BYTES, METER_COUNT, METER_CPU } MeterUnit;
typedef enum MeterLevel { METER_OK, METER_WARN, METER_FULL } MeterLevel;

typedef struct Meter {
	const char *name; /* static: memory, swap, cpu, processes, tasks, disk, files, sessions, session_memory ... */
	MeterUnit unit;
	uint64_t used, limit; /* UINT64_MAX: not to be told, no limit. CPU: microseconds a second */
} Meter;

#define METERS_MAX 16U

typedef struct Meters {
	Meter items[METERS_MAX];
	size_t n;
	uint64_t sent, received; /* bytes of this month; UINT64_MAX: not counted */
	uint64_t bandwidth;      /* bytes a second; UINT64_MAX: no limit */
	uint64_t oom_kills;      /* since the slice began */
	Reason keeper; /* why it was not asked; "" = it was. Then numbers are of the cgroups and the file system */
} Meters;

/* CPU time of the slice so far, microseconds; UINT64_MAX where it cannot be told. */
uint64_t meters_cpu_usec(void);

/* `cpu_rate`: microseconds of CPU time a second, as measured by the caller. */
void meters_read(uint64_t cpu_rate, Meters *ret);

/* Pure. -1: one of both is not known, or there is no limit. */
int meter_percent(const Meter *meter);
MeterLevel meter_level(const Meter *meter);
/* "463M of 1.066G", "12 of 50", "0.5 of 2 processors". Returns `buffer`. */
const char *meter_text(const Meter *meter, char *buffer, size_t size);
/* What to do about it, for one that is nearly full. */
const char *meter_way_out(const Meter *meter);

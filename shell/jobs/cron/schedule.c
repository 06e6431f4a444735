/* SPDX-License-Identifier: MIT */
/*
 * Cron compares two clocks: the one on the wall, and a virtual one that went on by a minute a minute. What was between them
 * at a minute follows from the last change of the zone alone, so nothing has to be played through.
 * Source: main() and find_jobs() of Debian's cron.c; tests/cron runs that program beside this one.
 */
#include "shell/jobs/cron/schedule.h"

#include <time.h>

#define JUMP 180 /* minutes; cron's 3 * MINUTE_COUNT */
#define LATE 5   /* so many minutes cron takes for having woken up late */
#define DAY (24 * 60)

/* What the clock shows, as minutes since the epoch of a place where it is UTC. */
static bool meant(const CronSpec *spec, int64_t clock)
{
	time_t seconds = (time_t)clock * 60;
	struct tm tm;

	return gmtime_r(&seconds, &tm) && cron_spec_has_time(spec, tm.tm_hour, tm.tm_min) &&
	       cron_spec_has_day(spec, tm.tm_mday, tm.tm_mon + 1, tm.tm_wday);
}

static bool meant_between(const CronSpec *spec, int64_t first, int64_t last)
{
	for (; first <= last; first++)
		if (meant(spec, first))
			return true;
	return false;
}

bool schedule_starts(const CronSpec *spec, const Zone *zone, int64_t minute)
{
	const ZoneChange *change = zone_change(zone, minute);
	int64_t clock = minute + zone_offset(zone, minute), ahead;

	if (spec->reboot)
		return false;
	if (!change)
		return meant(spec, clock);
	/* how far the wall's clock is ahead of the virtual one when the zone has changed */
	ahead = 1 + change->after - change->before;
	if (ahead > 1 && ahead <= JUMP && minute == change->at)
		return ahead > LATE && cron_spec_is_wild(spec) ? meant(spec, clock)
							       : meant_between(spec, clock - ahead + 1, clock);
	/* the virtual clock stands still until the wall's is past it */
	if (ahead <= 0 && ahead > -JUMP && minute + change->after < change->at + change->before)
		return cron_spec_is_wild(spec) && meant(spec, clock);
	return meant(spec, clock);
}

/* No minute of the 24 hours from `minute` on is on a day that the spec has, and the zone does not change. */
static bool day_is_empty(const CronSpec *spec, const Zone *zone, int64_t minute)
{
	int64_t clock = minute + zone_offset(zone, minute);
	const ZoneChange *before = zone_change(zone, minute - JUMP), *after = zone_change(zone, minute + DAY);

	if (before != after)
		return false;
	for (int i = 0; i < 2; i++) {
		time_t seconds = (time_t)(clock + (int64_t)i * DAY) * 60;
		struct tm tm;

		if (!gmtime_r(&seconds, &tm) || cron_spec_has_day(spec, tm.tm_mday, tm.tm_mon + 1, tm.tm_wday))
			return false;
	}
	return true;
}

int schedule_next(const CronSpec *spec, const Zone *zone, int64_t after, int64_t until, int64_t *ret)
{
	if (spec->reboot || !cron_spec_ever(spec))
		return -ENOENT;
	for (int64_t minute = after + 1; minute <= until;) {
		if (day_is_empty(spec, zone, minute)) {
			minute += DAY;
			continue;
		}
		for (int64_t end = minute + DAY; minute < end && minute <= until; minute++)
			if (schedule_starts(spec, zone, minute)) {
				*ret = minute;
				return 0;
			}
	}
	return -ENOENT;
}

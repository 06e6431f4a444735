/* SPDX-License-Identifier: MIT */
/* When a crontab's line is meant: crontab(5)'s five fields, or an @word. Pure. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CRON_WHY_MAX 256U /* room for a sentence about what is wrong */

/* A bit a value. Sunday is weekday 0. */
typedef struct CronSpec {
	uint64_t minutes;
	uint32_t hours, days, months; /* days from bit 1, months from bit 1 */
	uint8_t weekdays;
	bool star_minutes, star_hours, star_days, star_weekdays; /* the field begins with *, also as in * / 5 */
	bool reboot;                                             /* when the machine has started; no field counts */
} CronSpec;

/*
 * Reads fields or an @word at the beginning of `text`. `*ret_used`: how many bytes they and the blanks behind them took.
 * Returns 0, or -EINVAL with the field and what is allowed there in `why` (CRON_WHY_MAX); what they say is untouched then.
 * Source: crontab(5) of Debian's cron 3.0pl1. A range that runs backwards and what stands behind a number are refused; cron takes
 * them for nothing.
 */
_must_check_ int cron_spec_read(const char *text, CronSpec *ret, size_t *ret_used, char *why);

/* The same for a text that holds nothing else. */
_must_check_ int cron_spec_parse(const char *text, CronSpec *ret, char *why);

/* The day is one of the spec's. `day` from 1, `month` from 1, `weekday` from 0, Sunday. */
bool cron_spec_has_day(const CronSpec *spec, int day, int month, int weekday);

/* Hour and minute are. */
bool cron_spec_has_time(const CronSpec *spec, int hour, int minute);

/* It begins a minute field or an hour field with *: daylight saving treats it as cron's "wildcard jobs" (schedule.h). */
bool cron_spec_is_wild(const CronSpec *spec);

/* There is a day that it means: not February 30. */
bool cron_spec_ever(const CronSpec *spec);

/* "every 5 minutes", "at 02:30 on Monday to Friday"; where words would be many, the expression. Returns `buffer`. */
const char *cron_spec_words(const CronSpec *spec, const char *expression, char *buffer, size_t size);

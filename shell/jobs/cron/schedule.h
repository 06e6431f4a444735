/* SPDX-License-Identifier: MIT */
/*
 * When a spec's command starts, as Debian's cron 3.0pl1 has it. Pure.
 *
 * Where the clocks go forward by up to three hours, what is meant for a minute that they leave out starts when they have gone
 * forward, once, however many such minutes are left out (cron starts it once for each). Where they go back by less than
 * three hours, what is meant for a minute that comes twice starts the first time. Neither is so for a spec whose minute or hour
 * begins with *: it starts by what the clock shows, also twice. Greater changes are a new clock: left out stays left out.
 */
#pragma once

#include "shell/jobs/cron/spec.h"
#include "shell/jobs/cron/zone.h"

/* It starts in that minute since the epoch. */
bool schedule_starts(const CronSpec *spec, const Zone *zone, int64_t minute);

/* The first such minute behind `after` and not behind `until`. Returns 0, or -ENOENT. */
_must_check_ int schedule_next(const CronSpec *spec, const Zone *zone, int64_t after, int64_t until, int64_t *ret);

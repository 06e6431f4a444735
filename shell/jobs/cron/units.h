/* SPDX-License-Identifier: MIT */
/* An entry of a crontab as units of the service manager: a timer that says when, a service that says what. Pure. */
#pragma once

#include "shell/jobs/cron/crontab.h"
#include "shell/jobs/cron/zone.h"

#define CRON_UNIT_PREFIX "creel-cron-"
/* creel-cron-ID.timer, creel-cron-ID.service */
#define CRON_UNIT_MAX (sizeof(CRON_UNIT_PREFIX) + CRON_ID_MAX + sizeof(".service"))

/* The service manager is told of changes of the clocks so far ahead; it is told anew at each start and reload. */
#define CRON_HORIZON_SECONDS (INT64_C(3) * 366 * 24 * 3600)

typedef struct CronPlace {
	const char *home, *source; /* absolute: of the agent, and of its crontab */
	const char *program;       /* creel */
	const Zone *zone;          /* the entry's, from a day ago to CRON_HORIZON_SECONDS from now */
	int64_t now;               /* seconds since the epoch */
} CronPlace;

/* `suffix`: "timer" or "service". Returns `buffer`, of CRON_UNIT_MAX bytes. */
const char *cron_unit_name(const char *id, const char *suffix, char *buffer);

/*
 * The text of the units. Both return 0 or -ENOMEM, cron_timer_text() also -ENOENT: it is no timer's, as it is @reboot or a day that
 * never comes.
 */
_must_check_ int cron_timer_text(const CronEntry *entry, const CronPlace *place, char **ret);
_must_check_ int cron_service_text(const CronEntry *entry, const CronPlace *place, char **ret);

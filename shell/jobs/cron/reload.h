/* SPDX-License-Identifier: MIT */
/* A new crontab, and the user manager that runs it. */
#pragma once

#include "shell/jobs/cron/crontab.h"
#include "shell/jobs/manager.h"

typedef enum CronInstalled {
	CRON_INSTALLED,
	CRON_REFUSED,    /* faults of its text were told */
	CRON_NOT_STORED, /* told, too */
	CRON_CHANGED,    /* it is no longer what it was made from */
} CronInstalled;

/*
 * Puts the text in place of the crontab and has the user manager read it. `before`: what it was made from, or NULL: whatever is there.
 * `label`: what the text is called where it has faults. `verb`: of creel, who says why not, on stderr; NULL: crontab. All or nothing: with faults, or without a
 * user manager, the old crontab stays.
 */
_must_check_ CronInstalled cron_install(
	const char *verb, const char *label, const char *text, size_t n, const char *before);

/* Nothing is left of the crontab. Returns 0, or a negative errno with the reason; -ENOENT: there was none. */
_must_check_ int cron_uninstall(Reason *ret_reason);

/* Tells the faults on stderr, a line each. */
void cron_tell_faults(const Crontab *crontab, const char *label);

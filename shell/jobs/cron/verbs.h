/* SPDX-License-Identifier: MIT */
/* What creel cron's verbs share. Each verb gets the words behind its name and returns the exit status. */
#pragma once

#include "shell/jobs/cron/crontab.h"
#include "shell/jobs/reason.h"

#include <stdint.h>

int cron_add_main(int argc, char **argv);
int cron_list_main(int argc, char **argv);
int cron_run_main(int argc, char **argv);
int cron_logs_main(int argc, char **argv);

/* Runs an entry now, shows what it writes, and returns its exit status. `verb`: who says what goes wrong. */
int cron_run(const char *verb, const CronEntry *entry);

/*
 * The stored crontab with its text (which may be NULL where nobody wants it); an empty one where there is none. Returns 0 or a
 * negative errno with the reason.
 */
_must_check_ int cron_load(Crontab **ret, char **ret_text, Reason *ret_reason);

/* -ENOENT with the reason: no entry has that name. */
_must_check_ int cron_entry(const Crontab *crontab, const char *id, const CronEntry **ret, Reason *ret_reason);

/* The file that the command's output is added to, where the line ends in `>> FILE` and perhaps `2>&1`; NULL: the journal has it. The
 * caller frees. */
char *cron_log(const CronEntry *entry);

/* When it starts next, microseconds since the epoch; USEC_UNKNOWN: never, or when the machine has started. */
uint64_t cron_next(const CronEntry *entry);

/* "in 12m 5s", "3m ago", "never". Returns `buffer`; 48 bytes are enough. */
const char *cron_distance(uint64_t realtime_usec, char *buffer, size_t size);

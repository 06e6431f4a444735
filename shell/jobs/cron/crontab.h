/* SPDX-License-Identifier: MIT */
/* The text of a crontab, crontab(5): entries, what is set for them, and what is wrong with it. Pure. */
#pragma once

#include "shell/base/str.h"
#include "shell/jobs/cron/spec.h"

#define CRONTAB_BYTES_MAX (1024U * 1024)
#define CRONTAB_LINES_MAX 10000U   /* as Debian's cron */
#define CRONTAB_LINE_MAX 8000U     /* bytes */
#define CRONTAB_ENTRIES_MAX 256U   /* each is two units, which the service manager reads at every reload */
#define CRONTAB_VARIABLES_MAX 100U /* in effect at once */
#define CRONTAB_FAULTS_MAX 20U     /* are told; more are counted */

#define CRON_ID_MAX 68U
#define CRON_NAME_LINE "# creel: " /* with a name behind it, it names the entry of the next line */

typedef struct CronEntry {
	unsigned int line, name_line; /* from 1; name_line 0: it has no name */
	char id[CRON_ID_MAX];         /* its name, or twelve digits made of schedule and command; no other has it */
	CronSpec spec;
	char *expression;    /* as written */
	char *raw;           /* the command as written */
	char *command;       /* what the shell gets */
	char *input;         /* what the command reads, NULL: nothing */
	StrList environment; /* "NAME=value", in order, each name once */
	char *zone;          /* CRON_TZ; "" */
} CronEntry;

typedef struct CronFault {
	unsigned int line;
	char text[CRON_WHY_MAX + 64];
} CronFault;

typedef struct Crontab {
	CronEntry *entries;
	size_t n;
	CronFault faults[CRONTAB_FAULTS_MAX];
	size_t n_faults; /* all of them */
	bool mail;       /* MAILTO is set, and nobody is sent anything */
} Crontab;

/*
 * Reads `n` bytes. Lines with faults are no entries; the others are. The caller frees. Returns 0 or -ENOMEM.
 * Differences to cron's: values that are set may be empty; a last line needs no end; CRON_TZ holds from its line on, as cronie has
 * it; @reboot and the fields as cron_spec_read() has them.
 */
_must_check_ int crontab_parse(const char *text, size_t n, Crontab **ret);

/* Accepts NULL. Returns NULL. */
Crontab *crontab_free(Crontab *crontab);
DEFINE_CLEANUP(Crontab, crontab_free)

/* NULL: none of that id. */
const CronEntry *crontab_find(const Crontab *crontab, const char *id);

/* SPDX-License-Identifier: MIT */
/*
 * A schedule becomes OnCalendar= lines with every number written out: no step, no range, so that there is nothing in which the
 * two notations differ. "Day of month or day of week" becomes two lines.
 *
 * What the service manager makes of a clock that is put forward or back is not what cron does. So the minutes around each such
 * change that is known are told in UTC besides, and the service asks `creel cron due` whether the minute is meant: the timer may
 * elapse too often there, never too seldom. A zone without changes has none of this.
 *
 * The service is the shell that cron would start: SHELL -c COMMAND in HOME. What it leaves behind lives on, as with cron, inside the
 * agent's limits (KillMode=process). While it runs it is not started once more.
 */
#include "shell/jobs/cron/units.h"
#include "shell/base/base64.h"
#include "shell/jobs/cron/schedule.h"

#include <string.h>
#include <time.h>

#define AROUND 120 /* minutes before and behind a change that are written out */

const char *cron_unit_name(const char *id, const char *suffix, char *buffer)
{
	(void)snprintf(buffer, CRON_UNIT_MAX, CRON_UNIT_PREFIX "%s.%s", id, suffix);
	return buffer;
}

/* ---- text ---- */

/* What would begin a specifier is doubled. */
static void put_character(FILE *file, char c)
{
	if (c == '%')
		(void)fputc('%', file);
	(void)fputc(c, file);
}

/* As a value of its own. */
static void put_value(FILE *file, const char *text)
{
	for (; *text; text++)
		put_character(file, *text);
}

/* As a part of a word in quotes, of a line that is split into words. */
static void put_inner(FILE *file, const char *text)
{
	for (; *text; text++) {
		if (*text == '"' || *text == '\\')
			(void)fputc('\\', file);
		if (*text == '\t')
			(void)fputs("\\t", file);
		else
			put_character(file, *text);
	}
}

static void put_word(FILE *file, const char *text)
{
	(void)fputc('"', file);
	put_inner(file, text);
	(void)fputc('"', file);
}

static void put_head(FILE *file, const CronEntry *entry, const CronPlace *place)
{
	(void)fprintf(file,
		"# made by creel-cron-generator from line %u of the crontab; crontab -e changes it\n[Unit]\n",
		entry->line);
	/* in parentheses: a backslash at its end would go on in the next line */
	(void)fputs("Description=cron: ", file);
	put_value(file, entry->expression);
	(void)fputs(" (", file);
	put_value(file, entry->raw);
	(void)fputs(")\nDocumentation=man:creel-cron(1)\nSourcePath=", file);
	put_value(file, place->source);
	(void)fputs("\n", file);
}

static int text_end(FILE **file, char **text, char **ret)
{
	bool failed = ferror(*file);

	failed |= fclose(TAKE_PTR(*file)) != 0;
	if (failed)
		return -ENOMEM;
	*ret = TAKE_PTR(*text);
	return 0;
}

/* ---- the timer ---- */

static void put_numbers(FILE *file, uint64_t bits, unsigned int low, unsigned int high)
{
	const char *comma = "";
	bool all = true;

	for (unsigned int i = low; i <= high; i++)
		all &= bits >> i & 1;
	if (all) {
		(void)fputc('*', file);
		return;
	}
	for (unsigned int i = low; i <= high; i++)
		if (bits >> i & 1) {
			(void)fprintf(file, "%s%02u", comma, i);
			comma = ",";
		}
}

static void put_calendar(FILE *file, const CronSpec *spec, uint32_t days, uint8_t weekdays, const char *zone)
{
	static const char *const names[] = { "Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat" };
	const char *comma = "";

	(void)fputs("OnCalendar=", file);
	for (unsigned int i = 0; i < 7 && weekdays != 0x7f; i++)
		if (weekdays >> i & 1) {
			(void)fprintf(file, "%s%s", comma, names[i]);
			comma = ",";
		}
	(void)fputs(*comma ? " *-" : "*-", file);
	put_numbers(file, spec->months, 1, 12);
	(void)fputc('-', file);
	put_numbers(file, days, 1, 31);
	(void)fputc(' ', file);
	put_numbers(file, spec->hours, 0, 23);
	(void)fputc(':', file);
	put_numbers(file, spec->minutes, 0, 59);
	(void)fprintf(file, ":00%s%s\n", *zone ? " " : "", zone);
}

static void put_hour(FILE *file, int64_t hour, uint64_t minutes)
{
	time_t seconds = (time_t)hour * 3600;
	struct tm tm;

	if (!minutes || !gmtime_r(&seconds, &tm))
		return;
	(void)fprintf(
		file, "OnCalendar=%04d-%02d-%02d %02d:", tm.tm_year + 1900, tm.tm_mon + 1, tm.tm_mday, tm.tm_hour);
	put_numbers(file, minutes, 0, 59);
	(void)fputs(":00 UTC\n", file);
}

static void put_change(FILE *file, const CronSpec *spec, const Zone *zone, const ZoneChange *change)
{
	uint64_t minutes = 0;

	for (int64_t minute = change->at - AROUND; minute < change->at + AROUND; minute++) {
		if (minute % 60 == 0)
			minutes = 0;
		if (schedule_starts(spec, zone, minute))
			minutes |= UINT64_C(1) << (minute % 60);
		if (minute % 60 == 59 || minute == change->at + AROUND - 1)
			put_hour(file, minute / 60, minutes);
	}
}

int cron_timer_text(const CronEntry *entry, const CronPlace *place, char **ret)
{
	const CronSpec *spec = &entry->spec;
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	size_t n;

	if (spec->reboot || !cron_spec_ever(spec))
		return -ENOENT;
	file = open_memstream(&text, &n);
	if (!file)
		return -ENOMEM;
	put_head(file, entry, place);
	(void)fputs("\n[Timer]\n", file);
	if (spec->star_days || spec->star_weekdays) {
		put_calendar(file, spec, spec->days, spec->weekdays, entry->zone);
	} else {
		put_calendar(file, spec, spec->days, 0x7f, entry->zone);
		put_calendar(file, spec, 0xfffffffeU, spec->weekdays, entry->zone);
	}
	for (size_t i = 0; i < place->zone->n; i++)
		if (place->zone->changes[i].at + AROUND >= place->now / 60)
			put_change(file, spec, place->zone, &place->zone->changes[i]);
	(void)fputs("AccuracySec=1s\nRandomizedDelaySec=0\nPersistent=no\n", file);
	return text_end(&file, &text, ret);
}

/* ---- the service ---- */

static const char *variable(const CronEntry *entry, const char *name, const char *otherwise)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < entry->environment.n; i++)
		if (strncmp(entry->environment.items[i], name, n) == 0 && entry->environment.items[i][n] == '=')
			return entry->environment.items[i] + n + 1;
	return otherwise;
}

static void put_assignment(FILE *file, const char *name, const char *value, const char *behind)
{
	(void)fprintf(file, " \"%s=", name);
	put_inner(file, value);
	(void)fprintf(file, "%s\"", behind);
}

/* What is set in the crontab comes later, and counts. */
static void put_environment(FILE *file, const CronEntry *entry, const CronPlace *place)
{
	(void)fputs("Environment=", file);
	put_assignment(file, "HOME", place->home, "");
	put_assignment(file, "SHELL", "/bin/sh", "");
	put_assignment(file, "PATH", place->home, "/.local/bin:/usr/local/bin:/usr/bin:/bin");
	(void)fputc('\n', file);
	for (size_t i = 0; i < entry->environment.n; i++) {
		(void)fputs("Environment=", file);
		put_word(file, entry->environment.items[i]);
		(void)fputc('\n', file);
	}
}

static int put_input(FILE *file, const char *input)
{
	size_t n = strlen(input);
	_cleanup_free_ char *coded = malloc(BASE64_ENCODED_MAX(n) + 1);

	if (!coded)
		return -ENOMEM;
	coded[base64_encode((const uint8_t *)input, n, coded)] = '\0';
	(void)fputs("StandardInput=data\n", file);
	if (n)
		(void)fprintf(file, "StandardInputData=%s\n", coded);
	return 0;
}

int cron_service_text(const CronEntry *entry, const CronPlace *place, char **ret)
{
	_cleanup_free_ char *text = NULL;
	_cleanup_fclose_ FILE *file = NULL;
	size_t n;
	int r = 0;

	file = open_memstream(&text, &n);
	if (!file)
		return -ENOMEM;
	put_head(file, entry, place);
	/* each minute is no reason to give up */
	(void)fputs("StartLimitIntervalSec=0\n\n[Service]\nType=exec\nKillMode=process\nWorkingDirectory=-", file);
	put_value(file, variable(entry, "HOME", place->home));
	(void)fputc('\n', file);
	put_environment(file, entry, place);
	if (!entry->spec.reboot && place->zone->n) {
		(void)fputs("ExecCondition=", file);
		put_word(file, place->program);
		(void)fputs(" cron due ", file);
		put_word(file, entry->expression);
		if (*entry->zone) {
			(void)fputc(' ', file);
			put_word(file, entry->zone);
		}
		(void)fputc('\n', file);
	}
	/* the colon: what has a $ is the shell's to read */
	(void)fputs("ExecStart=:", file);
	put_word(file, variable(entry, "SHELL", "/bin/sh"));
	(void)fputs(" -c ", file);
	put_word(file, entry->command);
	(void)fputc('\n', file);
	if (entry->input)
		r = put_input(file, entry->input);
	(void)fputs("SyslogIdentifier=cron-", file);
	put_value(file, entry->id);
	(void)fputc('\n', file);
	return r < 0 ? r : text_end(&file, &text, ret);
}

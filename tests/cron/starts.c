/* SPDX-License-Identifier: MIT */
/*
 * Says for the oracles what creel makes of a crontab: starts, or what the service manager is told.
 *
 *   starts FROM TO [ZONE]     lines of stdin are schedules; prints "LINE MINUTE" for each start, minutes since the epoch
 *   starts commands 0         stdin is a crontab; prints the command of each entry
 *   starts calendar NOW       stdin is a crontab; prints "LINE OnCalendar=..." for each entry
 */
#include "shell/base/file.h"
#include "shell/jobs/cron/schedule.h"
#include "shell/jobs/cron/units.h"

#include <err.h>
#include <string.h>

static void print_starts(char *text, const Zone *zone, int64_t from, int64_t to)
{
	char *saved = NULL, why[CRON_WHY_MAX];
	int64_t minute;
	CronSpec spec;

	for (char *line = strtok_r(text, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved)) {
		if (cron_spec_parse(line, &spec, why) < 0)
			errx(1, "%s: %s", line, why);
		for (minute = from - 1; schedule_next(&spec, zone, minute, to, &minute) == 0;)
			(void)printf("%s\t%lld\n", line, (long long)minute);
	}
}

static void print_commands(const char *text, size_t n)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;

	if (crontab_parse(text, n, &crontab) < 0 || crontab->n_faults)
		errx(1, "the crontab");
	for (size_t i = 0; i < crontab->n; i++)
		(void)printf("%s\n", crontab->entries[i].command);
}

static void print_calendars(const char *text, size_t n, int64_t now)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;

	if (crontab_parse(text, n, &crontab) < 0 || crontab->n_faults)
		errx(1, "the crontab");
	for (size_t i = 0; i < crontab->n; i++) {
		_cleanup_(zone_freep) Zone *zone = NULL;
		_cleanup_free_ char *timer = NULL;
		CronPlace place = { "/home/agent", "/x", "/usr/bin/creel", NULL, now };
		char *saved = NULL;

		if (zone_load(crontab->entries[i].zone, now, now + CRON_HORIZON_SECONDS, &zone) < 0)
			errx(1, "the zone");
		place.zone = zone;
		if (cron_timer_text(&crontab->entries[i], &place, &timer) < 0)
			continue;
		for (char *line = strtok_r(timer, "\n", &saved); line; line = strtok_r(NULL, "\n", &saved))
			if (strncmp(line, "OnCalendar=", strlen("OnCalendar=")) == 0)
				(void)printf("%s\t%s\n", crontab->entries[i].expression, line);
	}
}

int main(int argc, char **argv)
{
	_cleanup_(zone_freep) Zone *zone = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n;

	if (argc < 3 || argc > 4 || file_read_fd(STDIN_FILENO, CRONTAB_BYTES_MAX, &text, &n) < 0)
		errx(2, "usage: starts FROM TO [ZONE] | starts commands 0 | starts calendar NOW");
	if (strcmp(argv[1], "commands") == 0) {
		print_commands(text, n);
		return 0;
	}
	if (strcmp(argv[1], "calendar") == 0) {
		print_calendars(text, n, atoll(argv[2]));
		return 0;
	}
	if (zone_load(argc == 4 ? argv[3] : "UTC", atoll(argv[1]) * 60 - 86400, atoll(argv[2]) * 60 + 86400, &zone) < 0)
		errx(1, "no such zone");
	print_starts(text, zone, atoll(argv[1]), atoll(argv[2]));
	return fflush(stdout) == 0 ? 0 : 1;
}

/* SPDX-License-Identifier: MIT */
/* creel cron: entries of the crontab by name, and what their schedules mean. */
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/reload.h"
#include "shell/jobs/cron/schedule.h"
#include "shell/jobs/cron/store.h"
#include "shell/jobs/cron/verbs.h"
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/options.h"
#include "shell/jobs/span.h"
#include "shell/jobs/verb.h"

#include <string.h>
#include <time.h>

#define DAY_SECONDS (24 * 3600)
#define SOON_SECONDS \
	(INT64_C(40) * DAY_SECONDS) /* where most starts are looked for: a zone's years take their time to read */
#define NEXT_SECONDS (INT64_C(41) * 366 * DAY_SECONDS) /* a February 29 that is a Sunday comes within that */
#define NEXT_MAX 1000U

/* ---- shared ---- */

int cron_load(Crontab **ret, char **ret_text, Reason *ret_reason)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	r = store_read(&text, &n, ret_reason);
	if (r == -ENOENT) {
		text = strdup("");
		r = text ? 0 : -ENOMEM;
	} else if (r < 0) {
		return r;
	}
	if (r >= 0)
		r = crontab_parse(text, n, ret);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	if (ret_text)
		*ret_text = TAKE_PTR(text);
	return 0;
}

int cron_entry(const Crontab *crontab, const char *id, const CronEntry **ret, Reason *ret_reason)
{
	*ret = crontab_find(crontab, id);
	return *ret ? 0 : reason_set(ret_reason, -ENOENT, "no entry has that name; creel cron list shows them");
}

char *cron_log(const CronEntry *entry)
{
	const char *found = NULL, *end = entry->command + strlen(entry->command);

	for (const char *p = entry->command; (p = strstr(p, ">>")); p += 2)
		found = p + 2;
	if (!found)
		return NULL;
	found += strspn(found, " \t");
	if (end - found > 5 && strcmp(end - 5, " 2>&1") == 0)
		end -= 5;
	while (end > found && end[-1] == ' ')
		end--;
	if (*found == '\'' && end[-1] == '\'' && end - found > 2) {
		found++;
		end--;
	}
	if (*found != '/' || strcspn(found, "\"'$`;|&<>") < (size_t)(end - found))
		return NULL;
	return strndup(found, (size_t)(end - found));
}

static int minutes_within(const CronSpec *spec, const char *zone_name, int64_t from, int64_t seconds, size_t n,
	int64_t *ret, size_t *ret_n)
{
	_cleanup_(zone_freep) Zone *zone = NULL;
	int64_t minute = from / 60;
	int r;

	r = zone_load(zone_name, from - DAY_SECONDS, from + seconds + 2 * DAY_SECONDS, &zone);
	if (r < 0)
		return r;
	for (*ret_n = 0; *ret_n < n; ret[(*ret_n)++] = minute)
		if (schedule_next(spec, zone, minute, (from + seconds) / 60, &minute) < 0)
			break;
	return 0;
}

static int next_minutes(
	const CronSpec *spec, const char *zone_name, int64_t from, size_t n, int64_t *ret, size_t *ret_n)
{
	int r = minutes_within(spec, zone_name, from, SOON_SECONDS, n, ret, ret_n);

	return r < 0 || *ret_n == n ? r : minutes_within(spec, zone_name, from, NEXT_SECONDS, n, ret, ret_n);
}

uint64_t cron_next(const CronEntry *entry)
{
	int64_t minute;
	size_t n;

	if (next_minutes(&entry->spec, entry->zone, time(NULL), 1, &minute, &n) < 0 || n == 0)
		return USEC_UNKNOWN;
	return (uint64_t)minute * 60 * USEC_PER_SEC;
}

const char *cron_distance(uint64_t realtime_usec, char *buffer, size_t size)
{
	uint64_t now = now_realtime();
	char span[32];

	if (realtime_usec == 0 || realtime_usec == USEC_UNKNOWN)
		(void)snprintf(buffer, size, "never");
	else if (realtime_usec > now)
		(void)snprintf(buffer, size, "in %s", span_text(realtime_usec - now, span, sizeof(span)));
	else
		(void)snprintf(buffer, size, "%s ago", span_text(now - realtime_usec, span, sizeof(span)));
	return buffer;
}

/* ---- verbs ---- */

static int wrong_usage(const char *verb, const Reason *reason)
{
	reason_tell(verb, NULL, reason->text);
	(void)fprintf(stderr, "see creel cron --help\n");
	return EXIT_WRONG_USAGE;
}

static int next_main(int argc, char **argv)
{
	const char *items[1], *count = "5", *zone = "", *comma = "";
	Words words = { .items = items, .max = 1 };
	bool json = false;
	const Option options[] = { { "--count", "-n", .value = &count }, { "--zone", NULL, .value = &zone },
		{ "--json", NULL, .flag = &json }, { 0 } };
	char why[CRON_WHY_MAX], when[40], distance[48];
	_cleanup_free_ int64_t *minutes = NULL;
	Reason reason;
	CronSpec spec;
	uint64_t wanted = 1;
	size_t n;
	int r;

	r = options_read(argc, argv, options, &words, &reason);
	if (r >= 0 && words.n != 1)
		r = reason_set(&reason, -EINVAL, "a schedule is missing, in quotes: creel cron next '*/30 * * * *'");
	if (r >= 0 && (str_to_u64(count, NEXT_MAX, &wanted) < 0 || wanted == 0))
		r = reason_set(&reason, -EINVAL, "-n: a number from 1 to %u", NEXT_MAX);
	if (r >= 0 && cron_spec_parse(items[0], &spec, why) < 0)
		r = reason_set(&reason, -EINVAL, "%s", why);
	if (r < 0)
		return wrong_usage("cron next", &reason);
	minutes = calloc(NEXT_MAX, sizeof(*minutes));
	r = minutes ? next_minutes(&spec, zone, time(NULL), wanted, minutes, &n) : -ENOMEM;
	if (r == -ENOENT || r == -EINVAL)
		reason_tell("cron next", zone, "there is no such time zone below /usr/share/zoneinfo");
	else if (r < 0)
		reason_tell("cron next", NULL, strerror(-r));
	if (r < 0)
		return EXIT_FAILURE;
	/* local times are those of the schedule's zone */
	if (*zone && setenv("TZ", zone, 1) >= 0)
		tzset();
	if (json)
		(void)fputc('[', stdout);
	for (size_t i = 0; i < n; i++) {
		uint64_t usec = (uint64_t)minutes[i] * 60 * USEC_PER_SEC;
		bool first = true;

		if (json) {
			(void)printf("%s{", comma);
			json_text(stdout, &first, "time", when_json(usec, when, sizeof(when)));
			json_number(stdout, &first, "epoch", (uint64_t)minutes[i] * 60);
			(void)fputc('}', stdout);
			comma = ",";
		} else {
			(void)printf("%s  %s\n", when_text(usec, when, sizeof(when)),
				cron_distance(usec, distance, sizeof(distance)));
		}
	}
	if (json)
		(void)printf("]\n");
	else if (n == 0)
		(void)printf("%s\n", spec.reboot ? "when the machine has started" : "never: there is no such day");
	return EXIT_SUCCESS;
}

/* For the units: is the minute in which the timer elapsed meant? Started by hand, it always is. */
static int due_main(int argc, char **argv)
{
	const char *trigger = getenv("TRIGGER_TIMER_REALTIME_USEC"), *name = argc > 1 ? argv[1] : "";
	_cleanup_(zone_freep) Zone *zone = NULL;
	char why[CRON_WHY_MAX];
	CronSpec spec;
	uint64_t usec;
	int64_t now;

	if (argc < 1 || argc > 2 || cron_spec_parse(argv[0], &spec, why) < 0)
		return 255; /* ExecCondition= takes what is below for "not now" */
	if (!trigger || str_to_u64(trigger, INT64_MAX, &usec) < 0)
		return EXIT_SUCCESS;
	now = (int64_t)(usec / USEC_PER_SEC);
	if (zone_load(name, now - 2 * 24 * 3600, now + 24 * 3600, &zone) < 0)
		return EXIT_SUCCESS;
	return schedule_starts(&spec, zone, now / 60) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* The text without the lines `first` (0: none) and `second`. */
static char *without_lines(const char *text, unsigned int first, unsigned int second)
{
	char *left = malloc(strlen(text) + 1), *end = left;

	for (unsigned int line = 1; left && *text; line++) {
		size_t n = strcspn(text, "\n");

		n += text[n] == '\n';
		if (line != first && line != second) {
			memcpy(end, text, n);
			end += n;
		}
		text += n;
	}
	if (left)
		*end = '\0';
	return left;
}

static int rm_main(int argc, char **argv)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *before = NULL, *after = NULL;
	const CronEntry *entry;
	Reason reason;

	if (argc != 1) {
		(void)reason_set(&reason, 0, "the name of one entry, please");
		return wrong_usage("cron rm", &reason);
	}
	if (cron_load(&crontab, &before, &reason) < 0 || cron_entry(crontab, argv[0], &entry, &reason) < 0) {
		reason_tell("cron rm", argv[0], reason.text);
		return EXIT_FAILURE;
	}
	after = before ? without_lines(before, entry->name_line, entry->line) : NULL;
	if (!after) {
		reason_tell("cron rm", argv[0], strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	switch (cron_install("cron rm", "crontab", after, strlen(after), before)) {
	case CRON_INSTALLED:
		(void)printf("cron: %s is no longer in the crontab; its log stays\n", argv[0]);
		return EXIT_SUCCESS;
	case CRON_REFUSED:
		reason_tell("cron rm", argv[0], "the crontab has errors: crontab -e mends them; nothing was removed");
		return EXIT_FAILURE;
	case CRON_CHANGED:
		reason_tell("cron rm", argv[0], "the crontab was changed meanwhile: try again");
		return EXIT_FAILURE;
	default:
		return EXIT_FAILURE;
	}
}

static int help(FILE *file)
{
	(void)fprintf(file,
		"usage:\n"
		"  creel cron add 'SCHEDULE' SCRIPT [--name NAME] [--run-now] [--json] [-- ARGUMENTS]\n"
		"      a line of the crontab that runs the script, in strict mode and with a log\n"
		"  creel cron list [--json]            all entries: when they run next, how they ended last\n"
		"  creel cron next 'SCHEDULE' [-n 5] [--zone ZONE] [--json]\n"
		"      when that would be\n"
		"  creel cron run NAME                 now, with its output and exit status\n"
		"  creel cron logs NAME [-f] [-n 50] [--json]\n"
		"      what it wrote\n"
		"  creel cron rm NAME                  takes its line away\n"
		"a schedule: five fields (minute, hour, day of month, month, day of week), or @hourly, @daily, "
		"@weekly, @monthly,\n"
		"@yearly, @reboot. crontab -l, -e, -r and crontab FILE work, too; see creel-cron(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_WRONG_USAGE;
}

int cron_main(int argc, char **argv)
{
	static const Verb verbs[] = {
		{ "add", cron_add_main, NULL, NULL },
		{ "list", cron_list_main, NULL, NULL },
		{ "next", next_main, NULL, NULL },
		{ "run", cron_run_main, NULL, NULL },
		{ "logs", cron_logs_main, NULL, NULL },
		{ "rm", rm_main, NULL, NULL },
		{ "due", due_main, NULL, NULL },
		{ NULL },
	};
	const Verb *verb = verb_find(verbs, argc, argv);

	if (argc == 0)
		return help(stderr);
	if (options_help(argc, argv) || (argc > 1 && strcmp(argv[0], "due") != 0 && options_help(argc - 1, argv + 1)))
		return help(stdout);
	if (verb)
		return verb->main(argc - 1, argv + 1);
	reason_tell("cron", argv[0], "there is no such verb");
	return help(stderr);
}

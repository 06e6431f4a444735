/* SPDX-License-Identifier: MIT */
/* creel cron list: the crontab beside what the user manager knows of it. */
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/reload.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/cron/verbs.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/options.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"

#include <signal.h>
#include <string.h>

typedef struct Last {
	bool runs, known;
	uint64_t started, ended;
	char result[64]; /* "ok", "exit 1", "killed by 9", or why it did not start */
	int code;        /* exit status, 128 and a signal; -1: none */
} Last;

/* How it ended last, as far as the manager remembers: since the machine has started. */
static void last_read(Manager *manager, const CronEntry *entry, Last *ret)
{
	_cleanup_unit_ Unit unit = { 0 };
	char name[CRON_UNIT_MAX];
	Reason reason;

	*ret = (Last){ .code = -1 };
	if (!manager || manager_unit(manager, cron_unit_name(entry->id, "service", name), &unit, &reason) < 0)
		return;
	ret->runs = unit_lives(&unit);
	ret->started = unit.started_usec;
	ret->ended = ret->runs ? 0 : unit.ended_usec;
	ret->known = ret->started != 0 && ret->started != USEC_UNKNOWN;
	if (ret->runs || !ret->known)
		return;
	if (unit.code == CLD_EXITED) {
		ret->code = unit.status;
		(void)snprintf(ret->result, sizeof(ret->result), unit.status ? "exit %d" : "ok", unit.status);
	} else if (unit.code) {
		ret->code = EXIT_BY_SIGNAL + unit.status;
		(void)snprintf(ret->result, sizeof(ret->result), "killed by signal %d", unit.status);
	} else {
		(void)snprintf(ret->result, sizeof(ret->result), "%s", unit.result);
	}
}

static void print_json(const CronEntry *entry, const Last *last, const char *comma)
{
	_cleanup_free_ char *log = cron_log(entry);
	char text[160], when[40], unit[CRON_UNIT_MAX];
	uint64_t next = cron_next(entry);
	bool first = true;

	(void)printf("%s{", comma);
	json_text(stdout, &first, "name", entry->id);
	json_number(stdout, &first, "line", entry->line);
	json_text(stdout, &first, "schedule", entry->expression);
	json_text(stdout, &first, "words", cron_spec_words(&entry->spec, entry->expression, text, sizeof(text)));
	json_text(stdout, &first, "zone", *entry->zone ? entry->zone : NULL);
	json_text(stdout, &first, "command", entry->raw);
	json_text(stdout, &first, "next", next == USEC_UNKNOWN ? NULL : when_json(next, when, sizeof(when)));
	json_bool(stdout, &first, "running", last->runs);
	json_text(stdout, &first, "last_start", last->known ? when_json(last->started, when, sizeof(when)) : NULL);
	json_text(stdout, &first, "last_end",
		last->known && last->ended ? when_json(last->ended, when, sizeof(when)) : NULL);
	json_text(stdout, &first, "last_result", *last->result ? last->result : NULL);
	json_number(stdout, &first, "last_exit", last->code < 0 ? UINT64_MAX : (uint64_t)last->code);
	json_text(stdout, &first, "log", log);
	json_text(stdout, &first, "unit", cron_unit_name(entry->id, "service", unit));
	(void)fputc('}', stdout);
}

static int add_row(Table *table, const CronEntry *entry, const Last *last)
{
	char words[160], next[48], ended[100], distance[48];
	const char *cells[] = { entry->id, words, next, ended, entry->raw };
	int r;

	(void)cron_spec_words(&entry->spec, entry->expression, words, sizeof(words));
	(void)cron_distance(cron_next(entry), next, sizeof(next));
	if (entry->spec.reboot)
		(void)snprintf(next, sizeof(next), "at the next start");
	if (last->runs)
		(void)snprintf(ended, sizeof(ended), "runs now");
	else if (!last->known)
		(void)snprintf(ended, sizeof(ended), "not yet");
	else
		(void)snprintf(ended, sizeof(ended), "%s, %s", last->result,
			cron_distance(last->ended ? last->ended : last->started, distance, sizeof(distance)));
	r = table_add(table, cells);
	if (r >= 0 && !last->runs && last->known)
		table_colour(table, 3, last->code == 0 ? COLOUR_GOOD : COLOUR_BAD);
	return r;
}

int cron_list_main(int argc, char **argv)
{
	static const TableColumn columns[] = { { "NAME", false, false }, { "WHEN", false, true },
		{ "NEXT", false, false }, { "LAST", false, false }, { "COMMAND", false, true } };
	_cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_(manager_freep) Manager *manager = NULL;
	Words words = { .max = 0 };
	bool json = false;
	const Option options[] = { { "--json", NULL, .flag = &json }, { 0 } };
	Reason reason;
	int r;

	r = options_read(argc, argv, options, &words, &reason);
	if (r < 0) {
		reason_tell("cron list", NULL, reason.text);
		return EXIT_WRONG_USAGE;
	}
	r = table ? cron_load(&crontab, NULL, &reason) : reason_set(&reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (r >= 0)
		r = manager_connect(&manager, &reason);
	if (r < 0)
		reason_tell("cron list", NULL, reason.text);
	if (!crontab || !table)
		return EXIT_FAILURE;
	if (json)
		(void)fputc('[', stdout);
	for (size_t i = 0; i < crontab->n; i++) {
		Last last;

		last_read(manager, &crontab->entries[i], &last);
		if (json)
			print_json(&crontab->entries[i], &last, i ? "," : "");
		else if (add_row(table, &crontab->entries[i], &last) < 0)
			return EXIT_FAILURE;
	}
	if (json)
		(void)printf("]\n");
	else if (table_rows(table))
		table_print(table, stdout, terminal_width(stdout), terminal_colours(stdout));
	else
		(void)printf("the crontab has no entry; creel cron add makes one\n");
	(void)fflush(stdout);
	cron_tell_faults(crontab, "crontab");
	return r < 0 || crontab->n_faults ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/* creel cron logs: the file that the entry's line names, else what the journal has of its unit. */
#include "shell/base/str.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/cron/verbs.h"
#include "shell/jobs/journal-show.h"
#include "shell/jobs/options.h"
#include "shell/jobs/tail.h"

#include <signal.h>
#include <string.h>

#define LINES "50"

static int show_file(const char *path, uint64_t lines, bool on, bool json, Reason *ret_reason)
{
	_cleanup_tail_ Tail tail = TAIL_NONE(tail_form(json));
	int r = tail_begin_path(path, on, lines, tail.form, &tail, ret_reason);

	if (r == -ENOENT)
		return reason_set(ret_reason, r, "it has not written anything yet; creel cron run tries it");
	return r == 0 && on ? tail_follow(&tail, NULL, NULL, ret_reason) : r;
}

int cron_logs_main(int argc, char **argv)
{
	const char *items[1], *lines = LINES;
	Words words = { .items = items, .max = 1 };
	bool on = false, json = false;
	const Option options[] = { { "--follow", "-f", .flag = &on }, { "--lines", "-n", .value = &lines },
		{ "--json", NULL, .flag = &json }, { 0 } };
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *log = NULL;
	char unit[CRON_UNIT_MAX];
	const CronEntry *entry;
	uint64_t number;
	Reason reason;
	int r;

	r = options_read(argc, argv, options, &words, &reason);
	if (r >= 0 && words.n != 1)
		r = reason_set(&reason, -EINVAL, "the name of one entry, please");
	if (r >= 0 && tail_lines_parse(lines, &number) < 0)
		r = reason_set(&reason, -EINVAL, "-n: a number of lines is needed, or `all`");
	if (r < 0) {
		reason_tell("cron logs", NULL, reason.text);
		return EXIT_WRONG_USAGE;
	}
	(void)signal(SIGPIPE, SIG_IGN);
	r = cron_load(&crontab, NULL, &reason);
	if (r >= 0)
		r = cron_entry(crontab, items[0], &entry, &reason);
	if (r >= 0) {
		log = cron_log(entry);
		r = log ? show_file(log, number, on, json, &reason)
			: journal_show(cron_unit_name(entry->id, "service", unit), number, on, json, &reason);
	}
	if (r < 0 && r != -EPIPE) {
		(void)fflush(stdout);
		reason_tell("cron logs", items[0], reason.text);
		return EXIT_FAILURE;
	}
	return fflush(stdout) == 0 || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}

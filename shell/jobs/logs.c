/* SPDX-License-Identifier: MIT */
/*
 * creel logs: what a row of creel ps wrote. A file ~/logs/NAME.log comes first, as that is where people and jobs write; then the
 * journal of a unit, then the files in which the keeper keeps what a run wrote. What is over may have left a log, too.
 */
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/journal-show.h"
#include "shell/jobs/name.h"
#include "shell/jobs/options.h"
#include "shell/jobs/select.h"
#include "shell/jobs/tail.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define FOLDER_SPILLS ".creel/output" /* shell/keeper/spill.h */

typedef struct LogOrder {
	uint64_t lines;
	bool follow, json;
} LogOrder;

static int usage(FILE *file)
{
	(void)fprintf(file, "usage: creel logs [--kind KIND] [-f] [-n LINES] [--json] NAME|PID\n"
			    "see creel-ps(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_WRONG_USAGE;
}

static bool is_there(const char *below, const char *name)
{
	_cleanup_free_ char *path = home_path(below, name);
	struct stat st;

	return path && lstat(path, &st) == 0;
}

/* Of a log nobody says when it is over: Ctrl-C does. */
static int show_file(const char *below, const char *name, const LogOrder *order, Reason *ret_reason)
{
	_cleanup_tail_ Tail tail = TAIL_NONE(tail_form(order->json));
	int r = tail_begin(below, name, order->lines, tail.form, &tail, ret_reason);

	return r == 0 && order->follow ? tail_follow(&tail, NULL, NULL, ret_reason) : r;
}

static int show_run(const char *number, const LogOrder *order, Reason *ret_reason)
{
	static const char *const streams[] = { "stdout", "stderr" };
	bool some = false;
	int r = 0;

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(streams); i++) {
		char name[64];

		(void)snprintf(name, sizeof(name), "run-%s.%s", number, streams[i]);
		if (!is_there(FOLDER_SPILLS, name))
			continue;
		/* following goes with what comes last */
		r = show_file(FOLDER_SPILLS, name, &(LogOrder){ order->lines, order->follow && i == 1, order->json },
			ret_reason);
		some = true;
	}
	if (!some)
		return reason_set(ret_reason, -ENOENT,
			"what a run writes goes to who started it; a file has it only where it is long");
	return r;
}

/* NAME.log in ~/logs: 0, -ENOENT, or what is wrong with it. */
static int show_named(const char *name, const LogOrder *order, Reason *ret_reason)
{
	char file[NAME_MAX_BYTES + 8];

	if (jobs_name_check(name, ret_reason) < 0)
		return -ENOENT;
	(void)snprintf(file, sizeof(file), "%s.log", name);
	return is_there(FOLDER_LOGS, file) ? show_file(FOLDER_LOGS, file, order, ret_reason) : -ENOENT;
}

static int show_row(const Row *row, const LogOrder *order, Reason *ret_reason)
{
	_cleanup_free_ char *service = NULL;
	int r;

	if (row->kind != ROW_REPL && row->kind != ROW_RUN && row->kind != ROW_SESSION) {
		r = show_named(row->name, order, ret_reason);
		if (r != -ENOENT)
			return r;
	}
	if (row->kind == ROW_CRON)
		service = str_format(CRON_UNIT_PREFIX "%s.service", row->name);
	else if (row->kind == ROW_JOB || row->kind == ROW_SERVICE || row->kind == ROW_TIMER || row->kind == ROW_SYSTEM)
		service = row->unit ? strdup(row->unit) : NULL;
	if (service)
		return journal_show(service, order->lines, order->follow, order->json, ret_reason);
	switch (row->kind) {
	case ROW_RUN:
		return show_run(row->name, order, ret_reason);
	case ROW_SCREEN:
		return reason_set(
			ret_reason, -ENOENT, "a screen shows what it has itself: creel screen attach %s", row->name);
	case ROW_SESSION:
		return reason_set(ret_reason, -ENOENT, "what a login writes goes to its client, and is kept nowhere");
	case ROW_REPL:
		return reason_set(ret_reason, -ENOENT, "what an interpreter writes goes to who called it");
	default:
		return reason_set(ret_reason, -ENOENT,
			"it writes where who started it said; ~/logs/%s.log is where a log of it would be looked for",
			row->name);
	}
}

/* What runs no more: its log, its journal, the files of a run. */
static int show_past(const char *word, const LogOrder *order, Reason *ret_reason)
{
	_cleanup_free_ char *unit = NULL;
	uint64_t number;
	Reason unused;
	int r = show_named(word, order, ret_reason);

	if (r != -ENOENT)
		return r;
	unit = str_format("%s.service", word);
	if (!unit)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (jobs_name_check(word, &unused) == 0 && is_there(FOLDER_UNITS, unit))
		return journal_show(unit, order->lines, order->follow, order->json, ret_reason);
	if (str_to_u64(word, UINT64_MAX, &number) == 0 && number > UINT32_MAX)
		return show_run(word, order, ret_reason);
	return reason_set(
		ret_reason, -ENOENT, "nothing that runs is called so, and there is no log of it: creel ps, ls ~/logs");
}

static int find_and_show(const char *word, int kind, const LogOrder *order, Reason *ret_reason)
{
	_cleanup_gathered_ Gathered gathered = { 0 };
	const Row *row;
	pid_t pid;
	int r = gather(&gathered);

	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	r = row_select(&gathered, word, kind, &row, &pid, ret_reason);
	if (r == 0)
		return show_row(row, order, ret_reason);
	if (r != -ENOENT || kind >= 0)
		return r;
	r = show_past(word, order, ret_reason);
	if (r < 0 && *gathered.manager.text)
		reason_tell("logs", NULL, gathered.manager.text);
	return r;
}

int ps_logs_main(int argc, char **argv)
{
	const char *kind = NULL, *lines = NULL, *word = NULL;
	LogOrder order = { 0 };
	const Option options[] = {
		{ .name = "--follow", .letter = "-f", .flag = &order.follow },
		{ .name = "--lines", .letter = "-n", .value = &lines },
		{ .name = "--json", .flag = &order.json },
		{ .name = "--kind", .value = &kind },
		{ 0 },
	};
	Words words = { .items = &word, .max = 1 };
	RowKind row_kind = ROW_STRAY;
	Reason reason;
	int r;

	if (argc == 1 && options_help(argc, argv))
		return usage(stdout);
	r = options_read(argc, argv, options, &words, &reason);
	if (r == 0 && kind && row_kind_parse(kind, &row_kind) < 0)
		r = reason_set(&reason, -EINVAL, "there is no kind `%s`", kind);
	if (r == 0 && tail_lines_parse(lines, &order.lines) < 0)
		r = reason_set(&reason, -EINVAL, "-n: a number of lines is needed, or `all`");
	if (r < 0)
		reason_tell("logs", NULL, reason.text);
	if (r < 0 || !word || !*word || words.command)
		return usage(stderr);
	(void)signal(SIGPIPE, SIG_IGN);
	r = find_and_show(word, kind ? (int)row_kind : -1, &order, &reason);
	if (r < 0 && r != -EPIPE) {
		(void)fflush(stdout);
		reason_tell("logs", word, reason.text);
		return EXIT_FAILURE;
	}
	return fflush(stdout) == 0 || r == -EPIPE ? EXIT_SUCCESS : EXIT_FAILURE;
}

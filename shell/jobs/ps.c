/* SPDX-License-Identifier: MIT */
/* creel ps: one table of all that runs for the agent. */
#include "shell/jobs/commands.h"
#include "shell/jobs/options.h"
#include "shell/jobs/row-show.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"

#include <signal.h>
#include <string.h>
#include <time.h>

#define WATCH_USEC (2 * USEC_PER_SEC)
#define WATCH_USEC_MIN (USEC_PER_SEC / 4)

/* the other screen of a terminal, without a cursor, where a line that is too long is cut; and back */
#define SCREEN_TAKE "\033[?1049h\033[?25l" LINES_CUT
#define SCREEN_GIVE_BACK LINES_WRAP "\033[?25h\033[?1049l"
#define LINES_CUT "\033[?7l"
#define LINES_WRAP "\033[?7h"
#define SCREEN_HOME "\033[H"
#define SCREEN_CLEAR_BELOW "\033[J"

static int usage(FILE *file)
{
	(void)fprintf(file,
		"usage: creel ps [--json] [--all] [--kind KIND] [--watch [--every TIME]]\n"
		"KIND: session job screen service cron timer repl run process stray system; see creel-ps(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_WRONG_USAGE;
}

/* What was not asked; false when all was. */
static bool tell_missing(const Gathered *gathered)
{
	if (*gathered->manager.text)
		reason_tell("ps", NULL, gathered->manager.text);
	if (*gathered->keeper.text)
		reason_tell("ps", "sessions", gathered->keeper.text);
	return *gathered->manager.text || *gathered->keeper.text;
}

static int show_once(const RowsChoice *choice, bool json)
{
	_cleanup_gathered_ Gathered gathered = { 0 };
	int r = gather(&gathered);

	if (r == 0 && json)
		rows_write(stdout, &gathered.rows, choice);
	else if (r == 0)
		r = rows_show(stdout, &gathered.rows, choice, NULL, 0);
	if (r < 0) {
		reason_tell("ps", NULL, strerror(-r));
		return EXIT_FAILURE;
	}
	return fflush(stdout) != 0 || tell_missing(&gathered) ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Lines that are left for the table: of the terminal's all but two above it, what is missing, and the one that the cursor ends in. */
static size_t lines_left(const Reason *missing)
{
	size_t height = terminal_height(stdout), width = terminal_width(stdout), used = 3;

	if (!height)
		return 0;
	if (*missing->text)
		used += 1 + (width ? (strlen(missing->text) + width - 1) / width : 1);
	return height > used ? height - used : 1;
}

/* One picture, written at once: what is left of the one before is cleared line by line, so nothing flickers. */
static int picture(const Gathered *gathered, const RowsChoice *choice, const RowsBefore *before)
{
	_cleanup_(table_freep) Table *table = NULL;
	char when[32];
	int r;

	(void)fprintf(stdout, SCREEN_HOME SCREEN_CLEAR_BELOW "%s  Ctrl-C ends\n\n",
		when_text(now_realtime(), when, sizeof(when)));
	r = rows_show(stdout, &gathered->rows, choice, before, lines_left(&gathered->manager));
	if (*gathered->manager.text)
		(void)fprintf(stdout, "\n" LINES_WRAP "%s\n" LINES_CUT, gathered->manager.text);
	return fflush(stdout) == 0 ? r : -EIO;
}

/* Returns the signal that ended it, or a negative errno. */
static int watch(const RowsChoice *choice, uint64_t every_usec)
{
	const struct timespec pause = { (time_t)(every_usec / USEC_PER_SEC), (long)(every_usec % USEC_PER_SEC) * 1000 };
	RowsBefore before = { 0 };
	sigset_t signals;
	int r = 0, signal;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigaddset(&signals, SIGWINCH);
	(void)sigprocmask(SIG_BLOCK, &signals, NULL);
	(void)fputs(SCREEN_TAKE, stdout);
	for (;;) {
		_cleanup_gathered_ Gathered gathered = { 0 };
		uint64_t at = now_monotonic();

		r = gather(&gathered);
		if (r == 0)
			r = picture(&gathered, choice, before.at_usec ? &before : NULL);
		if (r < 0)
			break;
		rows_done(&before.rows);
		before = (RowsBefore){ gathered.rows, at };
		gathered.rows = (Rows){ 0 };
		signal = sigtimedwait(&signals, NULL, &pause);
		if (signal > 0 && signal != SIGWINCH) {
			r = signal;
			break;
		}
	}
	(void)fputs(SCREEN_GIVE_BACK, stdout);
	(void)fflush(stdout);
	rows_done(&before.rows);
	return r;
}

int ps_main(int argc, char **argv)
{
	bool json = false, all = false, watching = false;
	const char *kind = NULL, *every = NULL;
	const Option options[] = {
		{ .name = "--json", .flag = &json },
		{ .name = "--all", .letter = "-a", .flag = &all },
		{ .name = "--watch", .letter = "-w", .flag = &watching },
		{ .name = "--kind", .value = &kind },
		{ .name = "--every", .value = &every },
		{ 0 },
	};
	RowsChoice choice = { .kind = -1 };
	uint64_t every_usec = WATCH_USEC;
	Words words = { 0 };
	Reason reason;
	RowKind row_kind = ROW_STRAY;
	int r;

	if (argc == 1 && options_help(argc, argv))
		return usage(stdout);
	r = options_read(argc, argv, options, &words, &reason);
	if (r == 0 && kind && row_kind_parse(kind, &row_kind) < 0)
		r = reason_set(&reason, -EINVAL, "there is no kind `%s`", kind);
	if (r == 0 && every && (span_parse(every, &every_usec) < 0 || every_usec < WATCH_USEC_MIN))
		r = reason_set(&reason, -EINVAL, "`%s` is no time of at least 250ms, as in 2s", every);
	if (r == 0 && watching && json)
		r = reason_set(&reason, -EINVAL, "--watch is for people, --json for programs: not both");
	if (r == 0 && watching && !isatty(STDOUT_FILENO))
		r = reason_set(&reason, -EINVAL, "--watch needs a terminal: ssh -t");
	if (r < 0 || words.command) {
		if (r < 0)
			reason_tell("ps", NULL, reason.text);
		return usage(stderr);
	}
	choice.all = all;
	if (kind)
		choice.kind = (int)row_kind;
	if (!watching)
		return show_once(&choice, json);
	r = watch(&choice, every_usec);
	if (r < 0) {
		reason_tell("ps", NULL, strerror(-r));
		return EXIT_FAILURE;
	}
	return r == SIGINT ? EXIT_SUCCESS : EXIT_BY_SIGNAL + r;
}

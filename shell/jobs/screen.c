/* SPDX-License-Identifier: MIT */
/*
 * creel screen: sessions of screen(1), which does all of it itself. Here names are checked, are met whole and not by their
 * beginning, and what went wrong is said.
 */
#include "shell/base/json.h"
#include "shell/jobs/child.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/name.h"
#include "shell/jobs/options.h"
#include "shell/jobs/program.h"
#include "shell/jobs/screens.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"
#include "shell/jobs/verb.h"

#include <string.h>
#include <time.h>

#define START_USEC (30 * USEC_PER_SEC)
#define COME_USEC (3 * USEC_PER_SEC)
#define OUTPUT_MAX 4096U
#define COMMAND_MAX 4096

static int usage(const char *why)
{
	reason_tell("screen", NULL, why);
	(void)fprintf(stderr, "`creel screen --help` shows how it is used\n");
	return EXIT_WRONG_USAGE;
}

static int complain(const char *name, const Reason *reason)
{
	reason_tell("screen", name, reason->text);
	return EXIT_FAILURE;
}

/* ---- list ---- */

static void show_json(const Screen *screen)
{
	char when[32];
	bool first = true;

	(void)fputc('{', stdout);
	json_text(stdout, &first, "name", screen->name);
	json_number(stdout, &first, "pid", (uint64_t)screen->pid);
	json_text(stdout, &first, "state", screen_state_name(screen->state));
	(void)when_json(screen->started_usec, when, sizeof(when));
	json_text(stdout, &first, "started", *when ? when : NULL);
	(void)fputc('}', stdout);
}

static int list_main(int argc, char **argv)
{
	static const TableColumn columns[] = { { "NAME", .cut = true }, { "PID", .right = true }, { .title = "STATE" },
		{ .title = "STARTED" } };
	_cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
	_cleanup_screens_ Screens screens = { 0 };
	bool json = false;
	const Option options[] = { { "--json", .flag = &json }, { NULL } };
	Words words = { 0 };
	Reason reason;

	if (options_read(argc, argv, options, &words, &reason) < 0)
		return usage(reason.text);
	if (!table || screens_list(&screens, &reason) < 0)
		return complain(NULL, table ? &reason : &(Reason){ "memory is out" });
	if (json)
		(void)fputc('[', stdout);
	for (size_t i = 0; i < screens.n; i++) {
		const Screen *screen = &screens.items[i];
		char pid[16], when[32];

		if (json) {
			(void)fputs(i ? ",\n" : "", stdout);
			show_json(screen);
			continue;
		}
		(void)snprintf(pid, sizeof(pid), "%d", (int)screen->pid);
		if (table_add(table, (const char *[]){ screen->name, pid, screen_state_name(screen->state),
					     when_text(screen->started_usec, when, sizeof(when)) }) < 0)
			return EXIT_FAILURE;
		table_colour(table, 2, screen->state == SCREEN_DEAD ? COLOUR_BAD : COLOUR_GOOD);
	}
	if (json)
		(void)fputs("]\n", stdout);
	else if (!screens.n)
		(void)puts("no screens; `creel screen start NAME` starts one");
	else
		table_print(table, stdout, terminal_width(stdout), terminal_colours(stdout));
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* ---- start ---- */

/* It answers once it has its socket. 1: it is there, 0: it came and went, or never came. */
static int wait_come(const char *name, const Screens *before, Screens *ret, Reason *ret_reason)
{
	const struct timespec pause = { .tv_nsec = 20 * 1000 * 1000 };
	uint64_t until = now_monotonic() + COME_USEC;

	for (;;) {
		int r = screens_came(name, before, ret);

		if (r < 0)
			return reason_set(ret_reason, r, "%s", strerror(-r));
		if (r > 0 || now_monotonic() >= until)
			return r;
		(void)nanosleep(&pause, NULL);
	}
}

static int start(const char *name, char **command, int command_n, bool json)
{
	_cleanup_free_ const char **argv = calloc((size_t)command_n + 5, sizeof(*argv));
	_cleanup_screens_ Screens before = { 0 }, after = { 0 };
	_cleanup_free_ char *path = NULL, *text = NULL;
	Reason reason;
	int r, n = 0;

	if (!argv)
		return complain(name, &(Reason){ "memory is out" });
	if (command_n && program_find(command[0], &path, &reason) < 0)
		return complain(name, &reason);
	if (screens_list(&before, &reason) < 0)
		return complain(name, &reason);
	for (size_t i = 0; i < before.n; i++)
		if (strcmp(before.items[i].name, name) == 0 && before.items[i].state != SCREEN_DEAD) {
			(void)reason_set(&reason, -EEXIST,
				"there is a screen of that name (PID %d); `creel screen attach %s` shows it, or take "
				"another name",
				(int)before.items[i].pid, name);
			return complain(name, &reason);
		}
	argv[n++] = "screen";
	argv[n++] = "-dmS";
	argv[n++] = name;
	for (int i = 0; i < command_n; i++)
		argv[n++] = command[i];
	r = child_read(argv, START_USEC, OUTPUT_MAX, &text, &reason);
	if (r > 0)
		r = reason_set(&reason, -EREMOTEIO, "screen says: %.*s", (int)strcspn(text, "\r\n"), text);
	if (r >= 0)
		r = wait_come(name, &before, &after, &reason);
	if (r == 0)
		r = reason_set(&reason, -ESRCH, "what runs in it ended at once, and the screen with it%s",
			command_n ? "" : "; does your shell start?");
	if (r < 0)
		return complain(name, &reason);
	if (json) {
		show_json(&after.items[0]);
		(void)fputc('\n', stdout);
	} else {
		(void)printf("%s: started, PID %d\nattach: creel screen attach %s (Ctrl-a d leaves it)\n"
			     "stop:   creel screen stop %s\n",
			name, (int)after.items[0].pid, name, name);
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int start_main(int argc, char **argv)
{
	const char *name = NULL;
	bool json = false;
	const Option options[] = { { "--json", .flag = &json }, { NULL } };
	Words words = { &name, .max = 1 };
	Reason reason;

	if (options_read(argc, argv, options, &words, &reason) < 0)
		return usage(reason.text);
	if (!name)
		return usage("a name is needed");
	if (words.command && !words.command_n)
		return usage("a command is needed behind `--`");
	if (words.command_n > COMMAND_MAX)
		return usage("the command has too many words");
	if (jobs_name_check(name, &reason) < 0)
		return usage(reason.text);
	return start(name, words.command, words.command_n, json);
}

/* ---- one of them ---- */

static int attach_main(int argc, char **argv)
{
	_cleanup_screens_ Screens screens = { 0 };
	const char *name = NULL;
	const Screen *screen;
	bool take = false, share = false;
	const Option options[] = { { "--take", .flag = &take }, { "--share", .flag = &share }, { NULL } };
	Words words = { &name, .max = 1 };
	Reason reason;

	if (options_read(argc, argv, options, &words, &reason) < 0)
		return usage(reason.text);
	if (!name || words.command || (take && share))
		return usage(name ? "--take or --share, and nothing behind `--`" : "a name is needed");
	if (screens_list(&screens, &reason) < 0)
		return complain(name, &reason);
	screen = screens_find(&screens, name, &reason);
	if (!screen)
		return complain(name, &reason);
	if (screen->state == SCREEN_DEAD)
		(void)reason_set(
			&reason, -ESRCH, "it is dead; `creel screen stop %s` takes what is left of it away", name);
	else if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO))
		(void)reason_set(
			&reason, -ENOTTY, "this needs a terminal; over SSH: ssh -t HOST creel screen attach %s", name);
	else if (screen->state == SCREEN_ATTACHED && !take && !share)
		(void)reason_set(&reason, -EBUSY,
			"a terminal shows it already; --take takes it away from there, --share shows it here as well");
	else {
		(void)execlp("screen", "screen", share ? "-x" : take ? "-dr" : "-r", screen->socket, (char *)NULL);
		(void)reason_set(&reason, -errno, "screen: %s", strerror(errno));
	}
	return complain(name, &reason);
}

static int stop_main(int argc, char **argv)
{
	_cleanup_screens_ Screens screens = { 0 };
	const char *name = NULL;
	const Screen *screen;
	const Option options[] = { { NULL } };
	Words words = { &name, .max = 1 };
	Reason reason;

	if (options_read(argc, argv, options, &words, &reason) < 0)
		return usage(reason.text);
	if (!name || words.command)
		return usage(name ? "nothing stands behind `--`" : "a name is needed");
	if (screens_list(&screens, &reason) < 0)
		return complain(name, &reason);
	screen = screens_find(&screens, name, &reason);
	if (!screen || screen_quit(screen, &reason) < 0)
		return complain(name, &reason);
	(void)printf("%s: ended\n", screen->name);
	return EXIT_SUCCESS;
}

/* ---- the verbs ---- */

static const Verb verbs[] = {
	{ "start", start_main, "NAME [--json] [-- COMMAND...]",
		"a screen that goes on without a terminal: with your shell in it, or that command" },
	{ "list", list_main, "[--json]", "all screens, also those started by hand (screen -S NAME)" },
	{ "attach", attach_main, "NAME [--take | --share]",
		"shows it in this terminal; Ctrl-a d leaves it. --take: away from who has it; --share: beside" },
	{ "stop", stop_main, "NAME", "ends it with all that runs in it" },
	{ NULL },
};

static void print_help(FILE *file)
{
	(void)fprintf(file, "usage:\n");
	verbs_tell(file, "screen", verbs);
	(void)fprintf(file, "A NAME of `list` may be its PID as well. See creel-screen(1).\n");
}

int screen_main(int argc, char **argv)
{
	return verbs_run("screen", verbs, argc, argv, print_help);
}

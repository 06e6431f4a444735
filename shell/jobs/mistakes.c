/* SPDX-License-Identifier: MIT */
/* creel doctor: runs the checks, and tells what they found. */
#include "shell/jobs/mistakes.h"
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/options.h"
#include "shell/jobs/table.h"
#include "shell/tools/clean.h"

#include <fcntl.h>
#include <stdarg.h>
#include <string.h>

static const struct {
	const char *id;
	int (*look)(const Scene *scene, Mistakes *ret);
	const char *well; /* what is so when nothing is found */
} checks[] = {
	{ "servers", mistakes_servers, "no server hides on loopback" },
	{ "units", mistakes_units, "no unit failed, none has a broken file" },
	{ "cron", mistakes_cron, "the crontab has no errors" },
	{ "pids", mistakes_pids, "each file in ~/pids names a process" },
	{ "strays", mistakes_strays, "nothing runs that nobody has the PID of" },
	{ "logs", mistakes_logs, "no file in ~/logs is too large" },
	{ "limits", mistakes_limits, "nothing is nearly full" },
	{ "secrets", mistakes_secrets, "files of secrets (.env, .netrc and the like) are nobody else's" },
	{ "pip", mistakes_pip, "no package of pip's shadows one of the system's" },
	{ "matplotlib", mistakes_backend, "scripts that plot name a backend" },
};

int mistakes_add(Mistakes *mistakes, const char *way_out, const char *format, ...)
{
	Mistake *grown, one = { 0 };
	va_list arguments;
	int n;

	if (mistakes->n >= MISTAKES_MAX) {
		mistakes->left_out++;
		return 0;
	}
	grown = reallocarray(mistakes->items, mistakes->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	mistakes->items = grown;
	va_start(arguments, format);
	n = vasprintf(&one.what, format, arguments);
	va_end(arguments);
	if (n < 0)
		return -ENOMEM;
	one.way_out = strdup(way_out);
	if (!one.way_out) {
		free(one.what);
		return -ENOMEM;
	}
	grown[mistakes->n++] = one;
	return 0;
}

void mistakes_done(Mistakes *mistakes)
{
	for (size_t i = 0; i < mistakes->n; i++) {
		free(mistakes->items[i].what);
		free(mistakes->items[i].way_out);
	}
	free(mistakes->items);
	*mistakes = (Mistakes){ 0 };
}

static int usage(FILE *file)
{
	(void)fprintf(file, "usage: creel doctor [--json]\nsee creel-status(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_WRONG_USAGE;
}

/* ---- telling ---- */

static void show_line(const char *word, TableColour colour, const char *id, const char *text)
{
	bool colours = terminal_colours(stdout);
	_cleanup_free_ char *clean = NULL;
	size_t n;

	if (text_clean(text, strlen(text), true, &clean, &n) == 0)
		(void)printf("%s%-4s%s  %-10s  %s\n", colour_code(colour, colours), word,
			colour_code(COLOUR_NONE, colours), id, clean);
}

static void show(size_t check, const Mistakes *found)
{
	if (!found->n)
		show_line("ok", COLOUR_GOOD, checks[check].id, checks[check].well);
	for (size_t i = 0; i < found->n; i++) {
		_cleanup_free_ char *clean = NULL;
		size_t n;

		show_line("warn", COLOUR_WARN, checks[check].id, found->items[i].what);
		if (text_clean(found->items[i].way_out, strlen(found->items[i].way_out), true, &clean, &n) == 0)
			(void)printf("                  %s\n", clean);
	}
	if (found->left_out)
		(void)printf("                  and %zu more of that kind\n", found->left_out);
}

static void write_one(bool *first_row, const char *id, const char *status, const char *what, const char *way_out)
{
	bool first = true;

	(void)fputs(*first_row ? "{" : ",\n{", stdout);
	*first_row = false;
	json_text(stdout, &first, "check", id);
	json_text(stdout, &first, "status", status);
	json_text(stdout, &first, "what", what);
	json_text(stdout, &first, "remedy", way_out);
	(void)putchar('}');
}

static void write_rows(bool *first_row, size_t check, const Mistakes *found)
{
	if (!found->n)
		write_one(first_row, checks[check].id, "ok", checks[check].well, NULL);
	for (size_t i = 0; i < found->n; i++)
		write_one(first_row, checks[check].id, "warn", found->items[i].what, found->items[i].way_out);
}

/* Returns whether something is wrong, or a negative errno. */
static int examine(const Scene *scene, bool json)
{
	bool wrong = false, first_row = true;

	if (json)
		(void)putchar('[');
	for (size_t i = 0; i < ELEMENTSOF(checks); i++) {
		_cleanup_mistakes_ Mistakes found = { 0 };
		int r = checks[i].look(scene, &found);

		if (r < 0)
			return r;
		wrong = wrong || found.n > 0;
		if (json)
			write_rows(&first_row, i, &found);
		else
			show(i, &found);
	}
	if (json)
		(void)puts("]");
	return wrong;
}

int mistakes_main(int argc, char **argv)
{
	_cleanup_gathered_ Gathered gathered = { 0 };
	_cleanup_close_ int home_fd = -EBADF;
	bool json = false;
	const Option options[] = { { .name = "--json", .flag = &json }, { 0 } };
	Words words = { 0 };
	Meters meters;
	Reason reason;
	int r;

	if (argc == 1 && options_help(argc, argv))
		return usage(stdout);
	r = options_read(argc, argv, options, &words, &reason);
	if (r < 0)
		reason_tell("doctor", NULL, reason.text);
	if (r < 0 || words.command)
		return usage(stderr);
	home_fd = open(home_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (home_fd < 0) {
		reason_tell("doctor", home_folder(), strerror(errno));
		return EXIT_FAILURE;
	}
	meters_read(UINT64_MAX, &meters);
	r = gather(&gathered);
	if (r >= 0)
		r = examine(&(Scene){ &gathered, &meters, home_fd }, json);
	if (r < 0)
		reason_tell("doctor", NULL, strerror(-r));
	return fflush(stdout) != 0 || r ? EXIT_FAILURE : EXIT_SUCCESS;
}

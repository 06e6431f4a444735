/* SPDX-License-Identifier: MIT */
/* creel cron add: the two lines that a careful person would add to the crontab. */
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/reload.h"
#include "shell/jobs/cron/script.h"
#include "shell/jobs/cron/verbs.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/name.h"
#include "shell/jobs/options.h"
#include "shell/jobs/span.h"

#include <ctype.h>
#include <string.h>

typedef struct Added {
	const char *expression, *name;
	char *path, *line; /* owned: of the script; what is added */
	char own_name[NAME_MAX_BYTES + 1];
} Added;

/* The script's name without what is behind its last dot; what no name may have becomes a -. */
static void name_make(const char *path, char *name)
{
	const char *base = strrchr(path, '/') ? strrchr(path, '/') + 1 : path, *dot = strrchr(base, '.');
	size_t n = dot && dot > base ? (size_t)(dot - base) : strlen(base);

	if (n > NAME_MAX_BYTES)
		n = NAME_MAX_BYTES;
	for (size_t i = 0; i < n; i++)
		name[i] = isalnum((unsigned char)base[i]) || (i && strchr("._-", base[i])) ? base[i] : i ? '-' : 'x';
	name[n] = '\0';
}

static int line_make(Added *added, char **arguments, int n, Reason *ret_reason)
{
	_cleanup_free_ char *command = NULL, *log = NULL, *log_word = NULL, *file = NULL;
	_cleanup_close_ int folder_fd = -EBADF;
	int r;

	r = script_command(added->path, &command, ret_reason);
	if (r < 0)
		return r;
	for (int i = 0; i < n; i++) {
		_cleanup_free_ char *word = script_word(arguments[i]);
		char *longer = word ? str_format("%s %s", command, word) : NULL;

		if (!longer)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		free(command);
		command = longer;
	}
	/* what stands behind it would be an entry of its own */
	if (strpbrk(command, "\n\r"))
		return reason_set(ret_reason, -EINVAL,
			"the script's path or an argument has a line break, which a line of a crontab cannot hold: let "
			"the script have it itself");
	folder_fd = folder_open(FOLDER_LOGS, true, ret_reason);
	if (folder_fd < 0)
		return folder_fd;
	file = str_format("%s.log", added->name);
	log = file ? home_path(FOLDER_LOGS, file) : NULL;
	log_word = log ? script_word(log) : NULL;
	if (log_word)
		added->line = str_format("%s %s >> %s 2>&1", added->expression, command, log_word);
	return added->line ? 0 : reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
}

/* What is asked for makes sense, and its name is free. */
static int added_check(Added *added, const Crontab *crontab, Reason *ret_reason)
{
	char why[CRON_WHY_MAX];
	const CronEntry *other;
	CronSpec spec;
	int r;

	if (cron_spec_parse(added->expression, &spec, why) < 0)
		return reason_set(ret_reason, -EINVAL, "%s", why);
	if (!spec.reboot && !cron_spec_ever(&spec))
		return reason_set(ret_reason, -EINVAL, "%s is a day that never comes", added->expression);
	if (!added->name) {
		name_make(added->path, added->own_name);
		added->name = added->own_name;
	}
	r = jobs_name_check(added->name, ret_reason);
	if (r < 0)
		return r;
	other = crontab_find(crontab, added->name);
	if (other)
		return reason_set(ret_reason, -EEXIST,
			"line %u of the crontab has that name already: give another --name, or creel cron rm %s first",
			other->line, added->name);
	return 0;
}

static int tell(const Added *added, bool json)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *log = NULL;
	char text[160], when[40], distance[48];
	const CronEntry *entry;
	bool first = true;
	Reason reason;
	uint64_t next;

	if (cron_load(&crontab, NULL, &reason) < 0 || cron_entry(crontab, added->name, &entry, &reason) < 0) {
		reason_tell("cron add", added->name, reason.text);
		return EXIT_FAILURE;
	}
	next = cron_next(entry);
	log = cron_log(entry);
	if (json) {
		(void)fputc('{', stdout);
		json_text(stdout, &first, "name", added->name);
		json_text(stdout, &first, "line", added->line);
		json_text(stdout, &first, "next", next == USEC_UNKNOWN ? NULL : when_json(next, when, sizeof(when)));
		json_text(stdout, &first, "log", log);
		(void)printf("}\n");
		return EXIT_SUCCESS;
	}
	(void)printf("cron: %s: %s", added->name, cron_spec_words(&entry->spec, entry->expression, text, sizeof(text)));
	if (next != USEC_UNKNOWN)
		(void)printf("; next %s, at %s%s%s", cron_distance(next, distance, sizeof(distance)),
			when_text(next, when, sizeof(when)), *entry->zone ? " of the machine; by the clocks of " : "",
			entry->zone);
	(void)printf("\ncron: %s\ncron: what it writes: creel cron logs %s (%s)\n", added->line, added->name,
		log ? log : "");
	return EXIT_SUCCESS;
}

static int run_now(const char *name)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	const CronEntry *entry;
	Reason reason;

	if (cron_load(&crontab, NULL, &reason) >= 0 && cron_entry(crontab, name, &entry, &reason) >= 0)
		return cron_run("cron add", entry);
	reason_tell("cron add", name, reason.text);
	return EXIT_FAILURE;
}

static int install(const Added *added, const char *before)
{
	size_t n = strlen(before);
	_cleanup_free_ char *after = str_format("%s%s" CRON_NAME_LINE "%s\n%s\n", before,
		n && before[n - 1] != '\n' ? "\n" : "", added->name, added->line);

	if (!after) {
		reason_tell("cron add", added->name, strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	switch (cron_install("cron add", "crontab", after, strlen(after), before)) {
	case CRON_INSTALLED:
		return EXIT_SUCCESS;
	case CRON_REFUSED:
		reason_tell("cron add", added->name,
			"it cannot be added to the crontab, see above; crontab -e mends what is there");
		return EXIT_FAILURE;
	case CRON_CHANGED:
		reason_tell("cron add", added->name, "the crontab was changed meanwhile: try again");
		return EXIT_FAILURE;
	default:
		return EXIT_FAILURE;
	}
}

int cron_add_main(int argc, char **argv)
{
	const char *items[2], *name = NULL;
	Words words = { .items = items, .max = ELEMENTSOF(items) };
	bool json = false, now = false;
	const Option options[] = { { "--name", NULL, .value = &name }, { "--run-now", NULL, .flag = &now },
		{ "--json", NULL, .flag = &json }, { 0 } };
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *before = NULL, *path = NULL, *line = NULL;
	Added added = { .name = NULL };
	Reason reason;
	int r;

	r = options_read(argc, argv, options, &words, &reason);
	if (r >= 0 && words.n != 2)
		r = reason_set(&reason, -EINVAL,
			"a schedule in quotes and a script, please: creel cron add '*/30 * * * *' ~/scripts/check.sh");
	if (r < 0) {
		reason_tell("cron add", NULL, reason.text);
		return EXIT_WRONG_USAGE;
	}
	added.expression = items[0] + strspn(items[0], " \t");
	added.name = name;
	path = realpath(items[1], NULL);
	if (!path) {
		reason_tell("cron add", items[1], strerror(errno));
		return EXIT_FAILURE;
	}
	added.path = path;
	r = cron_load(&crontab, &before, &reason);
	if (r >= 0)
		r = added_check(&added, crontab, &reason);
	if (r >= 0)
		r = line_make(&added, words.command, words.command_n, &reason);
	line = added.line;
	if (r < 0) {
		reason_tell("cron add", added.name, reason.text);
		return EXIT_FAILURE;
	}
	r = install(&added, before);
	if (r == EXIT_SUCCESS)
		r = tell(&added, json);
	return r == EXIT_SUCCESS && now ? run_now(added.name) : r;
}

/* SPDX-License-Identifier: MIT */
#include "shell/run/language.h"

#include <string.h>

/*
 * Not as a script's file, which would stand in each of bash's messages instead of the label: with -c, it is $0 that does.
 * read succeeds only where it finds the NUL byte that it reads up to.
 */
static const char bash_driver[] =
	"if IFS= read -r -d '' -u 3; then printf '%s: the code has a NUL byte\\n' \"$0\" >&2; exit 2; fi; "
	"exec 3<&-; eval \"$REPLY\"";

/* All in the first line: shell/drivers/bash-repl.sh says why. */
static const char bash_repl[] = "eval -- \"$(<" LANGUAGE_DRIVERS "/bash-repl.sh)\"; eval -- \"$_creel_loop\"";

typedef struct Language {
	const char *name;
	const char *driver; /* a file's name; NULL: bash_driver */
	const char *mode;   /* the driver's first argument; NULL: it has none */
} Language;

static const Language languages[] = {
	{ "python", "python-run.py", NULL },
	{ "javascript", "node-run.cjs", "javascript" },
	{ "typescript", "node-run.cjs", "typescript" },
	{ "bash", NULL, NULL },
};

static const Language *find(const Policy *policy, const char *name)
{
	if (!strlist_contains(&policy->languages, name))
		return NULL;
	for (size_t i = 0; i < ELEMENTSOF(languages); i++)
		if (strcmp(languages[i].name, name) == 0)
			return &languages[i];
	return NULL;
}

const char *language_interpreter(const Policy *policy, const char *language)
{
	const Language *row = find(policy, language);

	if (!row)
		return NULL;
	if (!row->driver)
		return "/bin/bash";
	return row->mode ? policy->node : policy->python;
}

/* What the driver is told besides: whether code may be an ES module. */
static const char *mode_of(const Policy *policy, const Language *row)
{
	if (strcmp(row->mode, "javascript") == 0 && !policy->es_modules)
		return "javascript-scripts";
	if (strcmp(row->mode, "typescript") == 0 && !policy->es_modules)
		return "typescript-scripts";
	return row->mode;
}

int language_command(
	const Policy *policy, const char *language, const char *label, char *const *arguments, StrList *ret)
{
	const Language *row = find(policy, language);
	_cleanup_strlist_ StrList list = { 0 };
	int r;

	if (!row)
		return -ENOENT;
	r = strlist_add(&list, language_interpreter(policy, language));
	if (!r && row->driver)
		r = strlist_push(&list, str_format(LANGUAGE_DRIVERS "/%s", row->driver));
	if (!r && !row->driver)
		r = strlist_add(&list, "-c");
	if (!r && !row->driver)
		r = strlist_add(&list, bash_driver);
	if (!r && row->mode)
		r = strlist_add(&list, mode_of(policy, row));
	if (!r)
		r = strlist_add(&list, label);
	for (char *const *argument = arguments; !r && argument && *argument; argument++)
		r = strlist_add(&list, *argument);
	if (r < 0)
		return r;
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}

int language_repl_command(const Policy *policy, const char *language, StrList *ret)
{
	const Language *row = find(policy, language);
	const char *words[6] = { NULL };
	_cleanup_strlist_ StrList list = { 0 };
	int r;

	if (!row)
		return -ENOENT;
	if (!row->driver) {
		const char *const bash[] = { "--noprofile", "--norc", "-c", bash_repl, "<run>" };

		memcpy(words, bash, sizeof(bash));
	} else if (row->mode) {
		words[0] = "--disable-warning=ExperimentalWarning"; /* of the type stripper */
		words[1] = LANGUAGE_DRIVERS "/node-repl.cjs";
		words[2] = mode_of(policy, row);
	} else {
		words[0] = LANGUAGE_DRIVERS "/python-repl.py";
	}
	r = strlist_add(&list, language_interpreter(policy, language));
	for (size_t i = 0; !r && words[i]; i++)
		r = strlist_add(&list, words[i]);
	if (r < 0)
		return r;
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "shell/tools/run-options.h"
#include "shell/base/quantity.h"
#include "shell/tools/language.h"

#include <stddef.h>
#include <string.h>

typedef enum OptionType { OPTION_TEXT, OPTION_SESSION, OPTION_FLAG, OPTION_QUANTITY, OPTION_LANGUAGE } OptionType;

#define AT(member) offsetof(RunWords, member)

static const struct Option {
	const char *name;
	OptionType type;
	size_t offset;
	QuantityKind kind;
	const char *argument, *help;
} options[] = {
	{ "--lang", OPTION_LANGUAGE, AT(options.language), 0, "LANGUAGE",
		"python, javascript, typescript or bash; else as its name or first line says" },
	{ "--timeout", OPTION_QUANTITY, AT(options.timeout_usec), QUANTITY_TIME, "TIME", "as in 30s" },
	{ "--memory", OPTION_QUANTITY, AT(options.memory), QUANTITY_SIZE, "SIZE", "as in 256M" },
	{ "--cpu", OPTION_QUANTITY, AT(options.cpu), QUANTITY_CORES, "CORES", "as in 0.5" },
	{ "--processes", OPTION_QUANTITY, AT(options.processes), QUANTITY_COUNT, "N", "with their threads" },
	{ "--output", OPTION_QUANTITY, AT(options.output), QUANTITY_SIZE, "SIZE",
		"of stdout and of stderr in the result" },
	{ "--net", OPTION_TEXT, AT(options.network), 0, "full|restricted|none", "no more than the policy's" },
	{ "--isolate", OPTION_FLAG, AT(options.independent), 0, NULL, "in a throw-away file system" },
	{ "--session", OPTION_SESSION, AT(options.session), 0, "NAME", "in an interpreter that keeps its state" },
	{ "--directory", OPTION_TEXT, AT(options.directory), 0, "FOLDER", "where it runs; else in the workspace" },
	{ "--figures", OPTION_FLAG, AT(options.figures), 0, NULL, "matplotlib's open figures become files" },
	{ "--stdin", OPTION_TEXT, AT(input), 0, "FILE|-", "its input; else none" },
	{ "--json", OPTION_FLAG, AT(json), 0, NULL, "the result, when it is over" },
	{ "--help", OPTION_FLAG, AT(help), 0, NULL, "" },
};

void run_words_help(FILE *file)
{
	(void)fprintf(file, "usage: creel run FILE|- [OPTIONS] [-- ARGUMENTS]\n");
	for (size_t i = 0; i < ELEMENTSOF(options); i++) {
		char option[64];

		(void)snprintf(option, sizeof(option), "%s%s%s", options[i].name, options[i].argument ? " " : "",
			options[i].argument ? options[i].argument : "");
		(void)fprintf(file, "  %-32s %s\n", option, options[i].help);
	}
}

static const struct Option *option_find(const char *word, size_t n)
{
	for (size_t i = 0; i < ELEMENTSOF(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, word, n) == 0)
			return &options[i];
	return NULL;
}

static int option_set(const struct Option *option, char *value, RunWords *words, char *why, size_t why_size)
{
	void *at = (char *)words + option->offset;
	const char *language;

	switch (option->type) {
	case OPTION_FLAG:
		*(bool *)at = true;
		return 0;
	case OPTION_TEXT:
		*(const char **)at = value;
		return 0;
	case OPTION_SESSION:
		if (!run_session_valid(value))
			break;
		*(const char **)at = value;
		return 0;
	case OPTION_LANGUAGE:
		language = language_of_name(value);
		if (!language)
			break;
		*(const char **)at = language;
		return 0;
	case OPTION_QUANTITY:
		if (quantity_parse(option->kind, value, at) < 0)
			break;
		return 0;
	}
	(void)snprintf(why, why_size, "%s: `%s` is not %s", option->name, value,
		option->type == OPTION_LANGUAGE  ? LANGUAGE_NAMES
		: option->type == OPTION_SESSION ? RUN_SESSION_RULE
						 : quantity_notation(option->kind));
	return -EINVAL;
}

/* `*i` is an option, and stands on its last word afterwards. */
static int option_read(int argc, char **argv, int *i, RunWords *words, char *why, size_t why_size)
{
	char *equals = strchr(argv[*i], '='), *value = equals ? equals + 1 : NULL;
	const struct Option *option = option_find(argv[*i], equals ? (size_t)(equals - argv[*i]) : strlen(argv[*i]));

	if (!option) {
		(void)snprintf(
			why, why_size, "unknown option `%s` (what is the program's own comes behind --)", argv[*i]);
		return -EINVAL;
	}
	if (option->type == OPTION_FLAG && value) {
		(void)snprintf(why, why_size, "%s takes no value", option->name);
		return -EINVAL;
	}
	if (option->type != OPTION_FLAG && !value) {
		if (*i + 1 >= argc) {
			(void)snprintf(why, why_size, "%s needs a value: %s", option->name, option->argument);
			return -EINVAL;
		}
		value = argv[++*i];
	}
	return option_set(option, value, words, why, why_size);
}

int run_words_read(int argc, char **argv, RunWords *ret, char *why, size_t why_size)
{
	RunWords words = { .options = RUN_OPTIONS_NONE };
	int i;

	for (i = 0; i < argc && strcmp(argv[i], "--") != 0; i++) {
		if (argv[i][0] == '-' && argv[i][1]) {
			if (option_read(argc, argv, &i, &words, why, why_size) < 0)
				return -EINVAL;
		} else if (!words.path) {
			words.path = argv[i];
		} else {
			(void)snprintf(why, why_size, "`%s`: arguments of the program come behind --", argv[i]);
			return -EINVAL;
		}
	}
	if (!words.path && !words.help) {
		(void)snprintf(why, why_size, "which script? A file, or - for stdin");
		return -EINVAL;
	}
	if (i < argc)
		words.options.arguments = argv + i + 1;
	if (words.path && words.input && strcmp(words.path, "-") == 0 && strcmp(words.input, "-") == 0) {
		(void)snprintf(why, why_size, "stdin is the script: it cannot be the input, too");
		return -EINVAL;
	}
	*ret = words;
	return 0;
}

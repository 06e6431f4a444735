/* SPDX-License-Identifier: MIT */
#include "shell/jobs/verb.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/options.h"

#include <string.h>

const Verb *verb_find(const Verb *verbs, int argc, char **argv)
{
	for (; argc && verbs->name; verbs++)
		if (strcmp(argv[0], verbs->name) == 0)
			return verbs;
	return NULL;
}

void verbs_tell(FILE *file, const char *command, const Verb *verbs)
{
	for (; verbs->name; verbs++)
		if (verbs->help)
			(void)fprintf(
				file, "  creel %s %s %s\n      %s\n", command, verbs->name, verbs->words, verbs->help);
}

int verbs_run(const char *command, const Verb *verbs, int argc, char **argv, void (*print_help)(FILE *file))
{
	const Verb *verb = verb_find(verbs, argc, argv);

	if (options_help(argc, argv) || (argc == 1 && strcmp(argv[0], "help") == 0) ||
		(verb && options_help(argc - 1, argv + 1))) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (verb)
		return verb->main(argc - 1, argv + 1);
	if (argc) {
		char why[96];

		(void)snprintf(why, sizeof(why), "there is no such verb; `creel %s --help` shows all", command);
		reason_tell(command, argv[0], why);
	} else {
		print_help(stderr);
	}
	return EXIT_WRONG_USAGE;
}

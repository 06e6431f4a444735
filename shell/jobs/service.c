/* SPDX-License-Identifier: MIT */
/* creel service: its verbs. */
#include "shell/jobs/service.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/options.h"
#include "shell/jobs/verb.h"

static const Verb verbs[] = {
	{ "create", service_create_main,
		"NAME [--port P] [--health /PATH | --ready-log REGEX | --tcp] [--dir D] [--env K=V]...\n"
		"         [--secret NAME]... [--restart no|on-failure|always] [--timeout 15s] [--replace] [--json] -- "
		"COMMAND...",
		"writes its unit file, starts it, and waits until it is healthy" },
	{ "list", service_list_main, "[--json]", "all of ~/.config/systemd/user, made here or by hand" },
	{ "status", service_status_main, "NAME [--json]", "how it is, and its last lines" },
	{ "logs", service_logs_main, "NAME [-f] [-n LINES] [--json]", "what it wrote" },
	{ "start", service_start_main, "NAME [--timeout 15s] [--json]", "starts it, and waits until it is healthy" },
	{ "restart", service_restart_main, "NAME [--timeout 15s] [--json]", "the same, anew" },
	{ "stop", service_stop_main, "NAME", "until it is started again, or the machine" },
	{ "rm", service_rm_main, "NAME [--force]", "stops it and removes its file; --force: also one written by hand" },
	{ NULL },
};

static void print_help(FILE *file)
{
	(void)fprintf(file, "usage:\n");
	verbs_tell(file, "service", verbs);
	(void)fprintf(file, "see creel-service(1)\n");
}

int service_words(const char *verb, int argc, char **argv, const Option *options, const char **ret_name)
{
	const char *name = NULL;
	Words words = { .items = &name, .max = 1 };
	Reason reason;
	int r = options_read(argc, argv, options, &words, &reason);

	if (r == 0 && words.command)
		r = reason_set(&reason, -EINVAL, "nothing may stand behind --");
	if (r == 0 && !words.n)
		r = reason_set(&reason, -EINVAL, "creel service %s needs a NAME; creel service list shows them", verb);
	if (r < 0) {
		reason_tell("service", name, reason.text);
		return EXIT_WRONG_USAGE;
	}
	*ret_name = name;
	return 0;
}

int service_main(int argc, char **argv)
{
	const Verb *verb = verb_find(verbs, argc, argv);

	if (verb && options_help(argc - 1, argv + 1)) {
		(void)printf("usage: creel service %s %s\n    %s\nsee creel-service(1)\n", verb->name, verb->words,
			verb->help);
		return EXIT_SUCCESS;
	}
	if (verb)
		return verb->main(argc - 1, argv + 1);
	if (options_help(argc, argv)) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (argc)
		reason_tell("service", argv[0], "there is no such verb");
	print_help(stderr);
	return EXIT_WRONG_USAGE;
}

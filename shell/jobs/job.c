/* SPDX-License-Identifier: MIT */
/* creel job: the verbs. */
#include "shell/jobs/job.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/options.h"
#include "shell/jobs/verb.h"

static const Verb verbs[] = {
	{ "start", job_start_main, "NAME [--restart] [--timeout TIME] [--env NAME=VALUE]... [--json] -- COMMAND...",
		"starts a command that outlives the session" },
	{ "list", job_list_main, "[--json]", "all jobs, also those that ended" },
	{ "status", job_status_main, "NAME [--json]", "one job; exit status 3: it does not run" },
	{ "logs", job_logs_main, "NAME [-n LINES|all] [-f] [--json]",
		"the last lines that it wrote; -f: and all that follow" },
	{ "stop", job_stop_main, "NAME", "ends it: SIGTERM, ten seconds later SIGKILL" },
	{ "wait", job_wait_main, "NAME [--timeout TIME] [--json]", "until it ended; with its exit status" },
	{ "rm", job_rm_main, "NAME", "takes away what is kept of one that ended: its log, how it ended" },
	{ "inside", job_inside_main, NULL, NULL },
	{ "ended", job_ended_main, NULL, NULL },
	{ NULL },
};

static void print_help(FILE *file)
{
	(void)fprintf(file, "usage:\n");
	verbs_tell(file, "job", verbs);
	(void)fprintf(file, "A job's files: ~/pids/NAME.pid, ~/logs/NAME.log. See creel-job(1).\n");
}

int job_usage(const char *why)
{
	reason_tell("job", NULL, why);
	(void)fprintf(stderr, "`creel job --help` shows how it is used\n");
	return EXIT_WRONG_USAGE;
}

int job_begin(int argc, char **argv, const struct Option *options, const char **ret_name, Manager **ret_manager)
{
	const char *name = NULL;
	Words words = { &name, .max = ret_name ? 1 : 0 };
	Reason reason;

	if (options_read(argc, argv, options, &words, &reason) < 0)
		return job_usage(reason.text);
	if (words.command)
		return job_usage("there is no command here: nothing stands behind `--`");
	if (ret_name && !name)
		return job_usage("a name is needed");
	if (name && jobs_name_check(name, &reason) < 0)
		return job_usage(reason.text);
	if (ret_manager && manager_connect(ret_manager, &reason) < 0) {
		reason_tell("job", NULL, reason.text);
		return EXIT_FAILURE;
	}
	if (ret_name)
		*ret_name = name;
	return EXIT_SUCCESS;
}

int job_main(int argc, char **argv)
{
	return verbs_run("job", verbs, argc, argv, print_help);
}

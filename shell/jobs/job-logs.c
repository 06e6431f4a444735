/* SPDX-License-Identifier: MIT */
/* creel job logs. */
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job.h"
#include "shell/jobs/tail.h"

#include <signal.h>

typedef struct Follow {
	Manager *manager;
	const char *name;
} Follow;

/* One that cannot be asked about is no more to be waited for. */
static bool is_over(void *userdata)
{
	const Follow *follow = userdata;
	_cleanup_job_ Job job = { 0 };
	Reason reason;

	return job_find(follow->manager, follow->name, &job, &reason) < 0 || job_state_over(job.state);
}

int job_logs_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_tail_ Tail tail = TAIL_NONE(TAIL_BYTES);
	_cleanup_job_ Job job = { 0 };
	const char *name = NULL, *lines_text = NULL;
	bool follow = false, json = false;
	const Option options[] = { { "--follow", "-f", .flag = &follow }, { "--lines", "-n", .value = &lines_text },
		{ "--json", .flag = &json }, { NULL } };
	char file[NAME_MAX_BYTES + 8];
	uint64_t lines;
	Reason reason;
	int r, status = job_begin(argc, argv, options, &name, NULL);

	if (status)
		return status;
	if (tail_lines_parse(lines_text, &lines) < 0)
		return job_usage("-n: a number of lines is needed, or `all`");
	(void)signal(SIGPIPE, SIG_IGN);
	(void)snprintf(file, sizeof(file), "%s.log", name);
	/* what was written can be read without the user manager; when the job ends it alone says */
	r = manager_connect(&manager, &reason);
	if (r >= 0)
		r = job_find(manager, name, &job, &reason);
	else if (!follow)
		r = job_record_read(name, &job.record, &reason);
	if (r >= 0)
		r = tail_begin(FOLDER_LOGS, file, lines, tail_form(json), &tail, &reason);
	if (r >= 0 && follow)
		r = tail_follow(&tail, is_over, &(Follow){ manager, name }, &reason);
	if (r < 0 && r != -EPIPE) {
		reason_tell("job", name, reason.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

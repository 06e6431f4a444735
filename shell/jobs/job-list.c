/* SPDX-License-Identifier: MIT */
/* creel job list, creel job status. */
#include "shell/jobs/commands.h"
#include "shell/jobs/job-show.h"
#include "shell/jobs/options.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"

#include <string.h>

static int add_row(Table *table, const Job *job)
{
	_cleanup_free_ char *command = job_command_text(job);
	char pid[16] = "", took[32], memory[32] = "", words[128];
	uint64_t bytes = job->has_unit ? job->unit.memory : job->record.memory_peak;

	if (job->has_unit && job->unit.main_pid)
		(void)snprintf(pid, sizeof(pid), "%d", (int)job->unit.main_pid);
	if (bytes != UINT64_MAX)
		(void)str_size(bytes, memory, sizeof(memory));
	if (table_add(table, (const char *[]){ job->record.name, job_state_name(job->state), pid,
				     span_text(job_duration(job), took, sizeof(took)), memory,
				     job_state_over(job->state) ? job_words(job, words, sizeof(words)) : "",
				     command ? command : "" }) < 0)
		return -ENOMEM;
	table_colour(table, 1, (TableColour)job_colour(job));
	return 0;
}

/* One that is there but cannot be read is told of, and the others are shown. */
static int list_jobs(Manager *manager, const StrList *names, bool json)
{
	static const TableColumn columns[] = { { "NAME", .cut = true }, { .title = "STATE" }, { "PID", .right = true },
		{ "TOOK", .right = true }, { "MEMORY", .right = true }, { "END", .cut = true },
		{ "COMMAND", .cut = true } };
	_cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
	int status = EXIT_SUCCESS;
	bool first = true;

	if (json)
		(void)fputc('[', stdout);
	for (size_t i = 0; table && i < names->n; i++) {
		_cleanup_job_ Job job = { 0 };
		Reason reason;
		int r = job_find(manager, names->items[i], &job, &reason);

		if (r == -ENOENT) /* it ended and was taken away just now */
			continue;
		if (r < 0) {
			reason_tell("job", names->items[i], reason.text);
			status = EXIT_FAILURE;
			continue;
		}
		if (json) {
			(void)fputs(first ? "" : ",\n", stdout);
			job_show_json(stdout, &job);
			first = false;
		} else if (add_row(table, &job) < 0) {
			return EXIT_FAILURE;
		}
	}
	if (json)
		(void)fputs("]\n", stdout);
	else if (table && !table_rows(table) && status == EXIT_SUCCESS)
		(void)puts("no jobs; `creel job start NAME -- COMMAND` starts one");
	else if (table)
		table_print(table, stdout, terminal_width(stdout), terminal_colours(stdout));
	return fflush(stdout) == 0 ? status : EXIT_FAILURE;
}

int job_list_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_strlist_ StrList names = { 0 };
	bool json = false;
	const Option options[] = { { "--json", .flag = &json }, { NULL } };
	Reason reason;
	int status = job_begin(argc, argv, options, NULL, &manager);

	if (status)
		return status;
	if (job_names(manager, &names, &reason) < 0) {
		reason_tell("job", NULL, reason.text);
		return EXIT_FAILURE;
	}
	return list_jobs(manager, &names, json);
}

int job_status_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_job_ Job job = { 0 };
	const char *name = NULL;
	bool json = false;
	const Option options[] = { { "--json", .flag = &json }, { NULL } };
	Reason reason;
	int status = job_begin(argc, argv, options, &name, &manager);

	if (status)
		return status;
	if (job_find(manager, name, &job, &reason) < 0) {
		reason_tell("job", name, reason.text);
		return EXIT_FAILURE;
	}
	if (json) {
		job_show_json(stdout, &job);
		(void)fputc('\n', stdout);
	} else {
		job_show(stdout, &job, terminal_colours(stdout));
	}
	if (fflush(stdout) != 0)
		return EXIT_FAILURE;
	return job_state_over(job.state) ? EXIT_NOT_RUNNING : EXIT_SUCCESS;
}

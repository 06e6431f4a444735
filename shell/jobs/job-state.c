/* SPDX-License-Identifier: MIT */
/* What a job is now (job.h): its unit while there is one, else what its file says. */
#include "shell/base/job-words.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job.h"
#include "shell/jobs/pidfile.h"
#include "shell/jobs/span.h"

#include <signal.h>
#include <string.h>

#define SUFFIX ".service"

static const struct {
	const char *name;
	bool over;
} states[] = {
	[JOB_STARTING] = { "starting", false },
	[JOB_RUNNING] = { "running", false },
	[JOB_BACKGROUND] = { "background", false },
	[JOB_RESTARTING] = { "restarting", false },
	[JOB_STOPPING] = { "stopping", false },
	[JOB_DONE] = { "done", true },
	[JOB_FAILED] = { "failed", true },
	[JOB_STOPPED] = { "stopped", true },
	[JOB_KILLED] = { "killed", true },
	[JOB_TIMEOUT] = { "timeout", true },
	[JOB_MEMORY] = { "out-of-memory", true },
	[JOB_LOST] = { "lost", true },
};

const char *job_state_name(JobState state)
{
	return states[state].name;
}

bool job_state_over(JobState state)
{
	return states[state].over;
}

const char *job_unit_name(const char *name, char *buffer, size_t size)
{
	(void)snprintf(buffer, size, JOB_UNIT_PREFIX "%s" SUFFIX, name);
	return buffer;
}

void job_done(Job *job)
{
	job_record_done(&job->record);
	unit_done(&job->unit);
}

static JobState state_of_unit(const Unit *unit)
{
	if (strcmp(unit->active, "deactivating") == 0)
		return JOB_STOPPING;
	if (strcmp(unit->sub, "auto-restart") == 0)
		return JOB_RESTARTING;
	if (strcmp(unit->active, "activating") == 0)
		return JOB_STARTING;
	return unit->main_pid ? JOB_RUNNING : JOB_BACKGROUND;
}

static JobState state_of_record(const JobRecord *record)
{
	/* systemd says the same of one that had to be killed because it did not heed `stop` */
	if (strcmp(record->result, "timeout") == 0 && record->timeout_usec != UINT64_MAX &&
		record->ended_usec - record->started_usec >= record->timeout_usec)
		return JOB_TIMEOUT;
	if (strcmp(record->result, "oom-kill") == 0)
		return JOB_MEMORY;
	if (record->signal == SIGTERM || record->signal == SIGINT || record->signal == SIGHUP)
		return JOB_STOPPED;
	if (record->signal)
		return JOB_KILLED;
	if (record->exit_code < 0)
		return JOB_LOST;
	return record->exit_code == 0 ? JOB_DONE : JOB_FAILED;
}

/* From now on that is how it ended; when, nobody knows. */
static void mark_lost(JobRecord *record)
{
	Reason reason;

	record->ended_usec = record->started_usec;
	(void)snprintf(record->result, sizeof(record->result), "lost");
	record->exit_code = -1;
	record->signal = 0;
	(void)!job_record_write(record, &reason);
	pidfile_remove(record->name);
}

static int look_at_unit(Manager *manager, const char *name, Job *job, Reason *ret_reason)
{
	char unit[MANAGER_UNIT_MAX];
	int r;

	unit_done(&job->unit);
	job->unit = (Unit){ 0 };
	r = manager_unit(manager, job_unit_name(name, unit, sizeof(unit)), &job->unit, ret_reason);
	job->has_unit = r == 0 && unit_lives(&job->unit);
	return r == -ENOENT ? 0 : r;
}

int job_find(Manager *manager, const char *name, Job *ret, Reason *ret_reason)
{
	_cleanup_job_ Job job = { 0 };
	int r;

	/* the unit first: one that ends in between wrote its file before it went */
	r = look_at_unit(manager, name, &job, ret_reason);
	if (r < 0)
		return r;
	r = job_record_read(name, &job.record, ret_reason);
	/* one that began in between has its unit by now, or wrote its end */
	if (r == 0 && !job.has_unit && !job.record.ended_usec) {
		job_record_done(&job.record);
		job.record = (JobRecord){ 0 };
		r = look_at_unit(manager, name, &job, ret_reason);
		if (r < 0)
			return r;
		r = job_record_read(name, &job.record, ret_reason);
	}
	if (r < 0 && !job.has_unit)
		return r == -ENOENT
			       ? reason_set(ret_reason, r, "there is no job of that name; `creel job list` shows all")
			       : r;
	if (r < 0) { /* what runs can be seen and ended, whatever became of its file */
		job.record = (JobRecord){ .exit_code = -1,
			.timeout_usec = UINT64_MAX,
			.memory_peak = UINT64_MAX,
			.cpu_usec = UINT64_MAX,
			.started_usec = job.unit.started_usec };
		(void)snprintf(job.record.name, sizeof(job.record.name), "%s", name);
	}
	if (job.has_unit) {
		job.state = state_of_unit(&job.unit);
	} else {
		if (!job.record.ended_usec)
			mark_lost(&job.record);
		job.state = state_of_record(&job.record);
	}
	*ret = job;
	job = (Job){ 0 };
	return 0;
}

/* ---- all of them ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* A name between a prefix and a suffix; what is no name of ours is passed over. */
static int add_name(StrList *list, const char *text, const char *prefix, const char *suffix)
{
	size_t n = strlen(text), before = strlen(prefix), behind = strlen(suffix);
	char name[NAME_MAX_BYTES + 1];
	Reason reason;

	if (n <= before + behind || n - before - behind > NAME_MAX_BYTES || strncmp(text, prefix, before) != 0 ||
		strcmp(text + n - behind, suffix) != 0)
		return 0;
	(void)snprintf(name, sizeof(name), "%.*s", (int)(n - before - behind), text + before);
	if (jobs_name_check(name, &reason) < 0 || strlist_contains(list, name))
		return 0;
	return strlist_add(list, name);
}

int job_names(Manager *manager, StrList *ret, Reason *ret_reason)
{
	_cleanup_close_ int folder_fd = folder_open(FOLDER_JOBS, false, ret_reason);
	_cleanup_closedir_ DIR *dir = folder_fd < 0 ? NULL : fdopendir(folder_fd);
	static const char *const patterns[] = { JOB_UNIT_PREFIX "*" SUFFIX, NULL };
	_cleanup_unit_rows_ UnitRows rows = { 0 };
	const struct dirent *entry;
	int r;

	if (dir)
		(void)TAKE_FD(folder_fd);
	while (dir && (entry = readdir(dir)))
		if (add_name(ret, entry->d_name, "", ".json") < 0)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = manager_list(manager, patterns, &rows, ret_reason);
	if (r < 0)
		return r;
	for (size_t i = 0; i < rows.n; i++)
		if (strcmp(rows.items[i].active, "inactive") != 0 && strcmp(rows.items[i].active, "failed") != 0 &&
			add_name(ret, rows.items[i].name, JOB_UNIT_PREFIX, SUFFIX) < 0)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (ret->n)
		qsort(ret->items, ret->n, sizeof(*ret->items), compare_names);
	return 0;
}

/* ---- words ---- */

int job_exit_status(const Job *job)
{
	const JobRecord *record = &job->record;

	if (job->state == JOB_TIMEOUT)
		return 124;
	if (record->signal)
		return 128 + record->signal;
	return record->exit_code >= 0 ? record->exit_code : EXIT_FAILURE;
}

const char *job_words(const Job *job, char *buffer, size_t size)
{
	const JobRecord *record = &job->record;
	const char *signal = record->signal ? sigabbrev_np(record->signal) : NULL;
	char span[32];

	if (job->state == JOB_TIMEOUT)
		(void)snprintf(buffer, size, "time limit of %s", span_text(record->timeout_usec, span, sizeof(span)));
	else if (job->state == JOB_MEMORY)
		(void)snprintf(buffer, size, "out of memory");
	else if (job->state == JOB_LOST)
		(void)snprintf(buffer, size, "the machine or the user manager went down");
	else if (job->state == JOB_BACKGROUND)
		(void)snprintf(buffer, size, "its program ended, others that it started go on");
	else if (!job_state_over(job->state))
		(void)snprintf(buffer, size, "%s", job_state_name(job->state));
	else if (record->signal)
		(void)snprintf(buffer, size, "SIG%s", signal ? signal : "?");
	else
		(void)snprintf(buffer, size, "exit %d", record->exit_code);
	return buffer;
}

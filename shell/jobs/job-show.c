/* SPDX-License-Identifier: MIT */
#include "shell/jobs/job-show.h"
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"
#include "shell/tools/clean.h"

#include <fcntl.h>
#include <string.h>

#define PROCESSES_TEXT 16384U

int job_colour(const Job *job)
{
	switch (job->state) {
	case JOB_DONE:
		return COLOUR_DIM;
	case JOB_FAILED:
	case JOB_KILLED:
	case JOB_TIMEOUT:
	case JOB_MEMORY:
	case JOB_LOST:
		return COLOUR_BAD;
	case JOB_RESTARTING:
	case JOB_STOPPING:
	case JOB_STOPPED:
		return COLOUR_WARN;
	default:
		return COLOUR_GOOD;
	}
}

uint64_t job_duration(const Job *job)
{
	uint64_t begin = job->record.started_usec, end = job->has_unit ? now_realtime() : job->record.ended_usec;

	if (job->state == JOB_LOST || !begin || begin == UINT64_MAX)
		return USEC_UNKNOWN;
	return end > begin ? end - begin : 0; /* the clock may have been set */
}

char *job_command_text(const Job *job)
{
	const StrList *command = &job->record.command;
	char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	if (!file)
		return NULL;
	for (size_t i = 0; i < command->n; i++) {
		const char *word = command->items[i];
		bool plain = *word && !word[strcspn(word, " \t\n'\"\\$`&|;<>()*?[]{}#~!")];

		(void)fprintf(file, "%s%s", i ? " " : "", plain ? "" : "'");
		for (; *word; word++)
			(void)(*word == '\'' ? fputs("'\\''", file) : fputc(*word, file));
		(void)fputs(plain ? "" : "'", file);
	}
	if (fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static pid_t pid_of(const Job *job)
{
	return job->has_unit ? job->unit.main_pid : 0;
}

/* PIDs of the unit, " " between them, in new memory; what cannot be read is empty. */
static char *processes_text(const Job *job)
{
	_cleanup_free_ char *path = NULL;
	char text[PROCESSES_TEXT];
	char *copy;

	text[0] = '\0';
	if (job->has_unit && *job->unit.cgroup)
		path = str_format("/sys/fs/cgroup%s/cgroup.procs", job->unit.cgroup);
	if (!path || file_get_at(AT_FDCWD, path, text, sizeof(text)) < 0)
		text[0] = '\0';
	copy = strdup(text);
	for (char *c = copy; c && *c; c++)
		*c = *c == '\n' ? ' ' : *c;
	return copy;
}

static uint64_t in_msec(uint64_t usec)
{
	return usec == UINT64_MAX ? usec : usec / 1000;
}

static uint64_t peak_of(const Job *job)
{
	_cleanup_free_ char *path = NULL;
	char text[32];
	uint64_t peak = job->record.memory_peak, now;

	if (job->has_unit && *job->unit.cgroup)
		path = str_format("/sys/fs/cgroup%s/memory.peak", job->unit.cgroup);
	if (path && file_get_at(AT_FDCWD, path, text, sizeof(text)) >= 0 && str_to_u64(text, UINT64_MAX, &now) == 0)
		peak = peak == UINT64_MAX || now > peak ? now : peak;
	return peak;
}

static uint64_t cpu_of(const Job *job)
{
	uint64_t before = job->record.cpu_usec, now = job->has_unit ? job->unit.cpu_usec : UINT64_MAX;

	if (before == UINT64_MAX || now == UINT64_MAX)
		return before == UINT64_MAX ? now : before;
	return before + now;
}

void job_show_json(FILE *file, const Job *job)
{
	const JobRecord *record = &job->record;
	_cleanup_free_ char *processes = processes_text(job), *log = NULL, *pids = NULL;
	char buffer[MANAGER_UNIT_MAX], leaf[NAME_MAX_BYTES + 8];
	bool first = true, over = job_state_over(job->state);
	const char *signal = record->signal ? sigabbrev_np(record->signal) : NULL;

	(void)snprintf(leaf, sizeof(leaf), "%s.log", record->name);
	log = home_path(FOLDER_LOGS, leaf);
	(void)snprintf(leaf, sizeof(leaf), "%s.pid", record->name);
	pids = home_path(FOLDER_PIDS, leaf);
	(void)fputc('{', file);
	json_text(file, &first, "name", record->name);
	json_text(file, &first, "state", job_state_name(job->state));
	json_number(file, &first, "pid", pid_of(job) ? (uint64_t)pid_of(job) : UINT64_MAX);
	json_key(file, &first, "processes");
	(void)fputc('[', file);
	for (char *c = processes; c && *c; c++)
		(void)fputc(*c == ' ' ? ',' : *c, file);
	(void)fputc(']', file);
	json_number(
		file, &first, "exit_code", over && record->exit_code >= 0 ? (uint64_t)record->exit_code : UINT64_MAX);
	(void)snprintf(buffer, sizeof(buffer), "SIG%s", signal ? signal : "?");
	json_text(file, &first, "signal", over && record->signal ? buffer : NULL);
	json_text(file, &first, "started", when_json(record->started_usec, buffer, sizeof(buffer)));
	(void)when_json(over && job->state != JOB_LOST ? record->ended_usec : 0, buffer, sizeof(buffer));
	json_text(file, &first, "ended", *buffer ? buffer : NULL);
	json_number(file, &first, "duration_ms", in_msec(job_duration(job)));
	json_number(file, &first, "cpu_ms", in_msec(cpu_of(job)));
	json_number(file, &first, "memory", job->has_unit ? job->unit.memory : UINT64_MAX);
	json_number(file, &first, "memory_peak", peak_of(job));
	json_number(file, &first, "restarts", record->restarts);
	json_bool(file, &first, "restart", record->restart);
	json_number(file, &first, "timeout_ms", in_msec(record->timeout_usec));
	json_key(file, &first, "command");
	(void)fputc('[', file);
	for (size_t i = 0; i < record->command.n; i++) {
		(void)fputs(i ? "," : "", file);
		json_quote(file, record->command.items[i], strlen(record->command.items[i]));
	}
	(void)fputc(']', file);
	json_text(file, &first, "directory", record->directory ? record->directory : "");
	json_text(file, &first, "log", log);
	json_text(file, &first, "pid_file", pids);
	json_text(file, &first, "unit", job_unit_name(record->name, buffer, sizeof(buffer)));
	(void)fputc('}', file);
}

static void line(FILE *file, const char *what, const char *value)
{
	_cleanup_free_ char *clean = NULL;
	size_t n;

	if (text_clean(value, strlen(value), true, &clean, &n) == 0)
		(void)fprintf(file, "%-10s %s\n", what, clean);
}

void job_show(FILE *file, const Job *job, bool colours)
{
	const JobRecord *record = &job->record;
	_cleanup_free_ char *command = job_command_text(job), *processes = processes_text(job);
	char text[256], number[32], peak[32];
	bool over = job_state_over(job->state);

	(void)fprintf(file, "%-10s %s\n%-10s %s%s%s", "job", record->name, "state",
		colour_code((TableColour)job_colour(job), colours), job_state_name(job->state),
		colour_code(COLOUR_NONE, colours));
	(void)job_words(job, text, sizeof(text));
	(void)fprintf(file, "%s%s%s\n", strcmp(text, job_state_name(job->state)) ? " (" : "",
		strcmp(text, job_state_name(job->state)) ? text : "",
		strcmp(text, job_state_name(job->state)) ? ")" : "");
	line(file, "command", command ? command : "?");
	line(file, "folder", record->directory ? record->directory : "?");
	if (!over && job->unit.main_pid) {
		(void)snprintf(
			text, sizeof(text), "%d (~/%s/%s.pid)", (int)job->unit.main_pid, FOLDER_PIDS, record->name);
		line(file, "PID", text);
	}
	if (!over && processes && *processes)
		line(file, "processes", processes);
	line(file, "started", when_text(record->started_usec, text, sizeof(text)));
	if (over && job->state != JOB_LOST)
		line(file, "ended", when_text(record->ended_usec, text, sizeof(text)));
	line(file, "took", span_text(job_duration(job), text, sizeof(text)));
	line(file, "CPU", span_text(cpu_of(job), text, sizeof(text)));
	(void)snprintf(text, sizeof(text), "%s%s%s at most",
		job->has_unit && job->unit.memory != UINT64_MAX ? str_size(job->unit.memory, number, sizeof(number))
								: "",
		job->has_unit && job->unit.memory != UINT64_MAX ? ", " : "",
		peak_of(job) == UINT64_MAX ? "?" : str_size(peak_of(job), peak, sizeof(peak)));
	line(file, "memory", text);
	if (record->restart || record->restarts) {
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)record->restarts);
		line(file, "restarts", text);
	}
	if (record->timeout_usec != UINT64_MAX)
		line(file, "limit", span_text(record->timeout_usec, text, sizeof(text)));
	(void)snprintf(text, sizeof(text), "~/%s/%s.log", FOLDER_LOGS, record->name);
	line(file, "log", text);
}

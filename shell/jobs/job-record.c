/* SPDX-License-Identifier: MIT */
/* ~/.creel/jobs/NAME.json. The agent can write anything into it: what is read is checked, and believed no further than shown. */
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job.h"
#include "shell/tools/jsontext.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define RECORD_MAX JSONTEXT_BYTES_MAX /* a command line may have 6M (execve(2)), of which some becomes longer here */

void job_record_done(JobRecord *record)
{
	strlist_done(&record->command);
	free(record->directory);
	record->directory = NULL;
}

char *job_record_text(const JobRecord *record, size_t *ret_n)
{
	char *text = NULL;
	FILE *file = open_memstream(&text, ret_n);
	bool first = true;

	if (!file)
		return NULL;
	(void)fputc('{', file);
	json_text(file, &first, "name", record->name);
	json_text(file, &first, "id", record->id);
	json_key(file, &first, "command");
	for (size_t i = 0; i < record->command.n; i++) {
		(void)fputc(i ? ',' : '[', file);
		json_quote(file, record->command.items[i], strlen(record->command.items[i]));
	}
	(void)fputs(record->command.n ? "]" : "[]", file);
	json_text(file, &first, "directory", record->directory ? record->directory : "");
	json_bool(file, &first, "restart", record->restart);
	json_number(file, &first, "timeout_usec", record->timeout_usec);
	json_number(file, &first, "started_usec", record->started_usec);
	json_number(file, &first, "ended_usec", record->ended_usec);
	json_number(file, &first, "restarts", record->restarts);
	json_number(file, &first, "pid", (uint64_t)record->pid);
	json_text(file, &first, "result", record->result);
	json_number(file, &first, "exit_code", record->exit_code < 0 ? UINT64_MAX : (uint64_t)record->exit_code);
	json_number(file, &first, "signal", (uint64_t)record->signal);
	json_number(file, &first, "memory_peak", record->memory_peak);
	json_number(file, &first, "cpu_usec", record->cpu_usec);
	(void)fputs("}\n", file);
	if (fclose(file) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- reading ---- */

static void take_text(const json_t *object, const char *key, char *buffer, size_t size)
{
	const char *text = json_string_value(json_object_get(object, key));

	(void)snprintf(buffer, size, "%s", text ? text : "");
}

static uint64_t take_number(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return json_is_integer(value) && json_integer_value(value) >= 0 ? (uint64_t)json_integer_value(value)
									: UINT64_MAX;
}

static int take_command(const json_t *object, StrList *ret)
{
	const json_t *array = json_object_get(object, "command");

	for (size_t i = 0; i < json_array_size(array); i++) {
		const char *word = json_string_value(json_array_get(array, i));
		int r = strlist_add(ret, word ? word : "");

		if (r < 0)
			return r;
	}
	return 0;
}

static int small(uint64_t number, int unknown)
{
	return number > INT32_MAX ? unknown : (int)number;
}

int job_record_parse(const char *text, size_t n, JobRecord *ret, Reason *ret_reason)
{
	_cleanup_job_record_ JobRecord record = { 0 };
	_cleanup_json_ json_t *object = NULL;
	const char *directory;
	uint64_t ended;
	int r;

	r = jsontext_parse(text, n, &object, ret_reason->text, sizeof(ret_reason->text));
	if (r < 0)
		return r;
	take_text(object, "name", record.name, sizeof(record.name));
	take_text(object, "id", record.id, sizeof(record.id));
	take_text(object, "result", record.result, sizeof(record.result));
	directory = json_string_value(json_object_get(object, "directory"));
	if (take_command(object, &record.command) < 0 || str_set(&record.directory, directory ? directory : "") < 0)
		return -ENOMEM;
	record.restart = json_is_true(json_object_get(object, "restart"));
	record.timeout_usec = take_number(object, "timeout_usec");
	record.started_usec = take_number(object, "started_usec");
	ended = take_number(object, "ended_usec");
	record.ended_usec = ended == UINT64_MAX ? 0 : ended;
	record.restarts = take_number(object, "restarts");
	record.pid = small(take_number(object, "pid"), 0);
	record.exit_code = small(take_number(object, "exit_code"), -1);
	record.signal = small(take_number(object, "signal"), 0);
	record.memory_peak = take_number(object, "memory_peak");
	record.cpu_usec = take_number(object, "cpu_usec");
	if (!*record.name || record.started_usec == UINT64_MAX)
		return reason_set(ret_reason, -EINVAL, "it is no job's file");
	*ret = record;
	record = (JobRecord){ 0 };
	return 0;
}

int job_record_read(const char *name, JobRecord *ret, Reason *ret_reason)
{
	_cleanup_close_ int folder_fd = folder_open(FOLDER_JOBS, false, ret_reason);
	_cleanup_free_ char *text = NULL;
	char file[NAME_MAX_BYTES + 8];
	size_t n;
	int r;

	if (folder_fd < 0)
		return folder_fd;
	(void)snprintf(file, sizeof(file), "%s.json", name);
	r = file_read_at(folder_fd, file, O_NOFOLLOW, RECORD_MAX, &text, &n);
	if (r < 0)
		return reason_set(ret_reason, r, "~/%s/%s: %s", FOLDER_JOBS, file, strerror(-r));
	r = job_record_parse(text, n, ret, ret_reason);
	if (r == -EINVAL) {
		Reason why = *ret_reason;

		return reason_set(ret_reason, r, "~/%s/%s: %.500s; take it away", FOLDER_JOBS, file, why.text);
	}
	if (r == 0)
		(void)snprintf(ret->name, sizeof(ret->name), "%s", name);
	return r;
}

/* ---- writing ---- */

/* The blocks are there already: room for a few hundred bytes is no matter of the disk any more. */
static int write_over(int folder_fd, const char *file, const char *text, size_t n)
{
	_cleanup_close_ int fd = openat(folder_fd, file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK);

	if (fd < 0)
		return -errno;
	if (pwrite(fd, text, n, 0) != (ssize_t)n || ftruncate(fd, (off_t)n) < 0)
		return errno ? -errno : -EIO;
	return 0;
}

int job_record_write(const JobRecord *record, Reason *ret_reason)
{
	_cleanup_close_ int folder_fd = folder_open(FOLDER_JOBS, true, ret_reason);
	_cleanup_free_ char *text = NULL;
	char file[NAME_MAX_BYTES + 8];
	size_t n;
	int r;

	if (folder_fd < 0)
		return folder_fd;
	text = job_record_text(record, &n);
	if (!text)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	(void)snprintf(file, sizeof(file), "%s.json", record->name);
	r = folder_put(folder_fd, FOLDER_JOBS, file, text, n, 0600, ret_reason);
	if ((r == -ENOSPC || r == -EDQUOT) && write_over(folder_fd, file, text, n) == 0)
		return 0;
	return r;
}

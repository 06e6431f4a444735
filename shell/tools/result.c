/* SPDX-License-Identifier: MIT */
#include "shell/tools/result.h"
#include "shell/base/str.h"
#include "shell/base/utf8.h"

#include <signal.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Output {
	int fd;
	uint64_t bytes, head;
	const char *file;
} Output;

static Output output_of(const RunResult *result, unsigned int stream)
{
	return stream == 1
		       ? (Output){ result->stdout_fd, result->stdout_bytes, result->stdout_head, result->stdout_file }
		       : (Output){ result->stderr_fd, result->stderr_bytes, result->stderr_head, result->stderr_file };
}

static int fd_read_all(int fd, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *bytes = NULL;
	struct stat status = { 0 };
	size_t n = 0;

	if (fd >= 0 && fstat(fd, &status) < 0)
		return -errno;
	bytes = malloc((size_t)status.st_size + 1);
	if (!bytes)
		return -ENOMEM;
	while (n < (size_t)status.st_size) {
		ssize_t got = pread(fd, bytes + n, (size_t)status.st_size - n, (off_t)n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	*ret = TAKE_PTR(bytes);
	*ret_n = n;
	return 0;
}

int result_text(const RunResult *result, unsigned int stream, char **ret, size_t *ret_n)
{
	Output output = output_of(result, stream);
	_cleanup_free_ char *bytes = NULL, *text = NULL;
	size_t n = 0, head, tail, skip = 0;
	bool line_ends;
	int r;

	r = fd_read_all(output.fd, &bytes, &n);
	if (r < 0)
		return r;
	if (output.bytes <= n) {
		*ret = TAKE_PTR(bytes);
		*ret_n = n;
		return 0;
	}
	if (output.head > n)
		output.head = n; /* the keeper took its memory back, as nobody read it for long */
	/* a character that the cut goes through is left out as a whole */
	head = (size_t)output.head - utf8_cut(bytes, (size_t)output.head);
	tail = n - (size_t)output.head;
	while (skip < 3 && skip < tail && ((unsigned char)bytes[output.head + skip] & 0xc0) == 0x80)
		skip++;
	line_ends = head == 0 || bytes[head - 1] == '\n';
	text = malloc(n + strlen(output.file) + 128);
	if (!text)
		return -ENOMEM;
	memcpy(text, bytes, head);
	n = head + (size_t)sprintf(text + head, "%s[... %llu bytes left out", line_ends ? "" : "\n",
			   (unsigned long long)(output.bytes - head - (tail - skip)));
	n += (size_t)sprintf(text + n, *output.file ? "; all of it: %s ...]\n" : " ...]\n", output.file);
	memcpy(text + n, bytes + output.head + skip, tail - skip);
	*ret = TAKE_PTR(text);
	*ret_n = n + tail - skip;
	return 0;
}

const char *result_signal(int signal_number, char *buffer, size_t size)
{
	const char *name = sigabbrev_np(signal_number);

	if (name)
		(void)snprintf(buffer, size, "SIG%s", name);
	else if (signal_number >= SIGRTMIN && signal_number <= SIGRTMAX)
		(void)snprintf(buffer, size, "SIGRTMIN+%d", signal_number - SIGRTMIN);
	else
		(void)snprintf(buffer, size, "%d", signal_number);
	return buffer;
}

/* Takes `value`. */
static int put(json_t *object, const char *key, json_t *value)
{
	return json_object_set_new_nocheck(object, key, value) < 0 ? -ENOMEM : 0;
}

static int put_stream(json_t *object, const char *key, const RunResult *result, unsigned int stream)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	int r;

	r = result_text(result, stream, &text, &n);
	return r < 0 ? r : put(object, key, jsontext_string(text ? text : "", n));
}

static json_t *text_or_null(const char *text)
{
	return *text ? jsontext_string(text, strlen(text)) : json_null();
}

static int truncated_json(const RunResult *result, json_t **ret)
{
	_cleanup_json_ json_t *all = NULL;

	for (unsigned int stream = 1; stream <= 2; stream++) {
		Output output = output_of(result, stream);
		struct stat status = { 0 };
		json_t *one;

		if (output.fd >= 0 && fstat(output.fd, &status) < 0)
			return -errno;
		if (output.bytes <= (uint64_t)status.st_size)
			continue;
		if (!all && !(all = json_object()))
			return -ENOMEM;
		one = json_pack("{s:I, s:o}", "bytes", (json_int_t)output.bytes, "file", text_or_null(output.file));
		if (put(all, stream == 1 ? "stdout" : "stderr", one) < 0)
			return -ENOMEM;
	}
	*ret = all ? TAKE_PTR(all) : json_null();
	return 0;
}

static int files_json(const RunResult *result, json_t **ret)
{
	_cleanup_json_ json_t *files = json_array();

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < result->n_files; i++) {
		const RunFile *file = &result->files[i];
		_cleanup_free_ char *path =
			str_format("%s%s%s", result->files_directory, *result->files_directory ? "/" : "", file->name);
		json_t *one;

		if (!path)
			return -ENOMEM;
		one = json_pack("{s:o, s:o, s:I, s:o, s:s}", "name", jsontext_string(file->name, strlen(file->name)),
			"path", jsontext_string(path, strlen(path)), "bytes", (json_int_t)file->bytes, "sha256",
			text_or_null(file->sha256), "status", run_file_status_name(file->status));

		if (json_array_append_new(files, one) < 0)
			return -ENOMEM;
	}
	*ret = TAKE_PTR(files);
	return 0;
}

int result_json(const RunResult *result, json_t **ret)
{
	_cleanup_json_ json_t *object = json_object();
	char name[32];
	json_t *value = NULL;
	int r;

	if (!object)
		return -ENOMEM;
	r = put_stream(object, "stdout", result, 1);
	if (r >= 0)
		r = put_stream(object, "stderr", result, 2);
	if (r >= 0)
		r = put(object, "error", text_or_null(result->error));
	if (r >= 0)
		r = put(object, "exit_code", result->exit_code < 0 ? json_null() : json_integer(result->exit_code));
	if (r >= 0)
		r = put(object, "signal",
			result->signal ? json_string(result_signal(result->signal, name, sizeof(name))) : json_null());
	if (r >= 0)
		r = put(object, "reason", json_string(run_reason_name(result->reason)));
	if (r >= 0)
		r = put(object, "duration_ms", json_integer((json_int_t)(result->duration_usec / 1000)));
	if (r >= 0)
		r = put(object, "cpu_ms", json_integer((json_int_t)(result->cpu_usec / 1000)));
	if (r >= 0)
		r = put(object, "memory_peak",
			result->memory_peak ? json_integer((json_int_t)result->memory_peak) : json_null());
	if (r >= 0)
		r = truncated_json(result, &value);
	if (r >= 0)
		r = put(object, "truncated", value);
	if (r >= 0)
		r = files_json(result, &value);
	if (r >= 0)
		r = put(object, "files", value);
	if (r >= 0)
		r = put(object, "state", text_or_null(run_state_name(result->state)));
	if (r < 0)
		return r;
	*ret = TAKE_PTR(object);
	return 0;
}

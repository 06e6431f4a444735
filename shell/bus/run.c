/* SPDX-License-Identifier: MIT */
/* One table for options and one for results: a row is a name on the bus, its type there, and where its value stands. */
#include "shell/bus/run.h"

#include <stddef.h>
#include <string.h>

typedef enum FieldType {
	FIELD_TEXT,   /* s: const char * */
	FIELD_TEXTS,  /* as: char ** */
	FIELD_NUMBER, /* t: uint64_t */
	FIELD_STATUS, /* i: int */
	FIELD_FLAG,   /* b: bool */
	FIELD_FD,     /* h: int */
	FIELD_WORD,   /* s: an enum, by the index in `words` */
	FIELD_FILES,  /* a(stss): RunFile *, with their number in n_files */
} FieldType;

typedef struct Field {
	const char *name;
	FieldType type;
	size_t offset;
	const char *const *words;
	size_t n_words;
	bool (*valid)(const char *text); /* of FIELD_TEXT */
	const char *rule;                /* what that asks for, in words */
} Field;

static const char *const types[] = {
	[FIELD_TEXT] = "s",
	[FIELD_TEXTS] = "as",
	[FIELD_NUMBER] = "t",
	[FIELD_STATUS] = "i",
	[FIELD_FLAG] = "b",
	[FIELD_FD] = "h",
	[FIELD_WORD] = "s",
	[FIELD_FILES] = "a(stss)",
};

static const char *const reasons[] = { "ok", "exit", "signal", "timeout", "memory", "processes", "output", "disk",
	"refused", "cancelled" };
static const char *const states[] = { "", "preserved", "reset" };
static const char *const statuses[] = { "ok", "too-large", "type", "special", "changed" };

_Static_assert(ELEMENTSOF(reasons) == RUN_REASONS_N, "a reason has no name");
_Static_assert(ELEMENTSOF(states) == RUN_STATES_N, "a state has no name");
_Static_assert(ELEMENTSOF(statuses) == RUN_FILE_STATUSES_N, "a file's status has no name");

const char *run_reason_name(RunReason reason)
{
	return reasons[reason];
}

const char *run_state_name(RunState state)
{
	return states[state];
}

const char *run_file_status_name(RunFileStatus status)
{
	return statuses[status];
}

/* ---- what a text may be ---- */

static bool has_control(const char *text)
{
	for (const unsigned char *c = (const unsigned char *)text; *c; c++)
		if (*c < 0x20 || *c == 0x7f)
			return true;
	return false;
}

static bool language_valid(const char *text)
{
	return strlen(text) <= RUN_NAME_MAX && !has_control(text);
}

/* It is shown in tracebacks, one line each. */
static bool label_valid(const char *text)
{
	return strlen(text) <= RUN_LABEL_MAX && !has_control(text);
}

static bool network_valid(const char *text)
{
	return !*text || strcmp(text, "full") == 0 || strcmp(text, "restricted") == 0 || strcmp(text, "none") == 0;
}

bool run_session_valid(const char *text)
{
	static const char allowed[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";

	return *text && strlen(text) <= RUN_NAME_MAX && text[0] != '.' && strspn(text, allowed) == strlen(text);
}

static bool path_valid(const char *text)
{
	return strlen(text) < RUN_PATH_MAX;
}

#define OPTION(n, t, m) .name = n, .type = t, .offset = offsetof(RunOptions, m)

static const Field option_fields[] = {
	{ OPTION("language", FIELD_TEXT, language), .valid = language_valid,
		.rule = "at most 64 bytes, no control characters" },
	{ OPTION("label", FIELD_TEXT, label), .valid = label_valid,
		.rule = "at most 255 bytes, no control characters" },
	{ OPTION("arguments", FIELD_TEXTS, arguments), .rule = "at most 256 strings, with 64K together" },
	{ OPTION("input", FIELD_FD, input_fd) },
	{ OPTION("timeout", FIELD_NUMBER, timeout_usec) },
	{ OPTION("memory", FIELD_NUMBER, memory) },
	{ OPTION("cpu", FIELD_NUMBER, cpu) },
	{ OPTION("processes", FIELD_NUMBER, processes) },
	{ OPTION("output", FIELD_NUMBER, output) },
	{ OPTION("network", FIELD_TEXT, network), .valid = network_valid, .rule = "full, restricted or none" },
	{ OPTION("independent", FIELD_FLAG, independent) },
	{ OPTION("session", FIELD_TEXT, session), .valid = run_session_valid, .rule = RUN_SESSION_RULE },
	{ OPTION("directory", FIELD_TEXT, directory), .valid = path_valid, .rule = "a path of less than 4096 bytes" },
	{ OPTION("follow", FIELD_FLAG, follow) },
	{ OPTION("collect", FIELD_FLAG, collect) },
	{ OPTION("figures", FIELD_FLAG, figures) },
};

_Static_assert(RUN_NAME_MAX == 64 && RUN_LABEL_MAX == 255 && RUN_ARGUMENTS_MAX == 256 && RUN_PATH_MAX == 4096 &&
		       RUN_ARGUMENTS_BYTES == 64U * 1024,
	"a rule says another bound");

#define RESULT(n, t, m) .name = n, .type = t, .offset = offsetof(RunResult, m)
#define WORDS(w) .words = w, .n_words = ELEMENTSOF(w)

static const Field result_fields[] = {
	{ RESULT("stdout", FIELD_FD, stdout_fd) },
	{ RESULT("stderr", FIELD_FD, stderr_fd) },
	{ RESULT("stdout_bytes", FIELD_NUMBER, stdout_bytes) },
	{ RESULT("stderr_bytes", FIELD_NUMBER, stderr_bytes) },
	{ RESULT("stdout_head", FIELD_NUMBER, stdout_head) },
	{ RESULT("stderr_head", FIELD_NUMBER, stderr_head) },
	{ RESULT("stdout_file", FIELD_TEXT, stdout_file) },
	{ RESULT("stderr_file", FIELD_TEXT, stderr_file) },
	{ RESULT("error", FIELD_TEXT, error) },
	{ RESULT("exit_code", FIELD_STATUS, exit_code) },
	{ RESULT("signal", FIELD_STATUS, signal) },
	{ RESULT("reason", FIELD_WORD, reason), WORDS(reasons) },
	{ RESULT("duration", FIELD_NUMBER, duration_usec) },
	{ RESULT("cpu", FIELD_NUMBER, cpu_usec) },
	{ RESULT("memory_peak", FIELD_NUMBER, memory_peak) },
	{ RESULT("state", FIELD_WORD, state), WORDS(states) },
	{ RESULT("files_directory", FIELD_TEXT, files_directory) },
	{ RESULT("files", FIELD_FILES, files) },
	{ RESULT("files_left_out", FIELD_NUMBER, files_left_out) },
};

_Static_assert(sizeof(RunReason) == sizeof(unsigned int) && sizeof(RunState) == sizeof(unsigned int),
	"FIELD_WORD is stored as an unsigned");

const char *run_option_rule(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(option_fields); i++)
		if (strcmp(option_fields[i].name, name) == 0)
			return option_fields[i].rule;
	return NULL;
}

/* A structure's member, of which the row says what it is. */
static void *at(const void *structure, const Field *field)
{
	return (char *)structure + field->offset;
}

/* ---- writing ---- */

static int append_files(sd_bus_message *message, const RunResult *result)
{
	int r = sd_bus_message_open_container(message, 'a', "(stss)");

	for (size_t i = 0; i < result->n_files && r >= 0; i++) {
		const RunFile *file = &result->files[i];

		r = sd_bus_message_append(
			message, "(stss)", file->name, file->bytes, file->sha256, run_file_status_name(file->status));
	}
	return r < 0 ? r : sd_bus_message_close_container(message);
}

static int append_value(sd_bus_message *message, const Field *field, const void *structure)
{
	const void *value = at(structure, field);

	switch (field->type) {
	case FIELD_TEXT:
		return sd_bus_message_append(message, "s", *(const char *const *)value);
	case FIELD_TEXTS:
		return sd_bus_message_append_strv(message, *(char **const *)value);
	case FIELD_NUMBER:
		return sd_bus_message_append(message, "t", *(const uint64_t *)value);
	case FIELD_STATUS:
		return sd_bus_message_append(message, "i", *(const int *)value);
	case FIELD_FLAG:
		return sd_bus_message_append(message, "b", (int)*(const bool *)value);
	case FIELD_FD:
		return sd_bus_message_append(message, "h", *(const int *)value);
	case FIELD_WORD:
		return sd_bus_message_append(message, "s", field->words[*(const unsigned int *)value]);
	case FIELD_FILES:
		return append_files(message, structure);
	}
	return -EINVAL;
}

/* It would say what the reader takes it for when it is missing. */
static bool is_fallback(const Field *field, const void *structure, const void *none)
{
	const void *value = at(structure, field), *other = at(none, field);

	switch (field->type) {
	case FIELD_TEXT:
		return strcmp(*(const char *const *)value, *(const char *const *)other) == 0;
	case FIELD_TEXTS:
	case FIELD_FILES:
		return !*(void *const *)value;
	case FIELD_NUMBER:
		return *(const uint64_t *)value == *(const uint64_t *)other;
	case FIELD_STATUS:
		return *(const int *)value == *(const int *)other;
	case FIELD_FLAG:
		return *(const bool *)value == *(const bool *)other;
	case FIELD_FD:
		return *(const int *)value < 0;
	case FIELD_WORD: /* always told */
		return false;
	}
	return false;
}

static int append_fields(
	sd_bus_message *message, const Field *fields, size_t n, const void *structure, const void *none)
{
	int r = sd_bus_message_open_container(message, 'a', "{sv}");

	for (size_t i = 0; i < n && r >= 0; i++) {
		if (is_fallback(&fields[i], structure, none))
			continue;
		r = sd_bus_message_open_container(message, 'e', "sv");
		if (r >= 0)
			r = sd_bus_message_append(message, "s", fields[i].name);
		if (r >= 0)
			r = sd_bus_message_open_container(message, 'v', types[fields[i].type]);
		if (r >= 0)
			r = append_value(message, &fields[i], structure);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
		if (r >= 0)
			r = sd_bus_message_close_container(message);
	}
	if (r >= 0)
		r = sd_bus_message_close_container(message);
	return r < 0 ? r : 0;
}

static const RunOptions no_options = RUN_OPTIONS_NONE;
static const RunResult no_result = { .stdout_fd = -EBADF,
	.stderr_fd = -EBADF,
	.stdout_file = "",
	.stderr_file = "",
	.error = "",
	.exit_code = -1,
	.files_directory = "" };

int run_options_append(sd_bus_message *message, const RunOptions *options)
{
	return append_fields(message, option_fields, ELEMENTSOF(option_fields), options, &no_options);
}

int run_result_append(sd_bus_message *message, const RunResult *result)
{
	return append_fields(message, result_fields, ELEMENTSOF(result_fields), result, &no_result);
}

/* ---- reading ---- */

static int read_texts(sd_bus_message *message, char ***ret)
{
	_cleanup_free_ char **texts = calloc(RUN_ARGUMENTS_MAX + 1, sizeof(char *));
	size_t n = 0, bytes = 0;
	const char *text;
	int r;

	if (!texts)
		return -ENOMEM;
	r = sd_bus_message_enter_container(message, 'a', "s");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(message, "s", &text)) > 0) {
		bytes += strlen(text) + 1;
		if (n >= RUN_ARGUMENTS_MAX || bytes > RUN_ARGUMENTS_BYTES)
			return -EINVAL;
		texts[n++] = (char *)text;
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(message);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(texts);
	return 0;
}

static int find_word(const char *const *words, size_t n, const char *word, unsigned int *ret)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(words[i], word) == 0) {
			*ret = (unsigned int)i;
			return 0;
		}
	return -EINVAL;
}

static int read_files(sd_bus_message *message, RunResult *result)
{
	_cleanup_free_ RunFile *files = calloc(RUN_FILES_MAX, sizeof(RunFile));
	const char *status;
	unsigned int word;
	size_t n = 0;
	RunFile file;
	int r;

	if (!files)
		return -ENOMEM;
	r = sd_bus_message_enter_container(message, 'a', "(stss)");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_read(message, "(stss)", &file.name, &file.bytes, &file.sha256, &status)) > 0) {
		if (n >= RUN_FILES_MAX || find_word(statuses, ELEMENTSOF(statuses), status, &word) < 0)
			return -EINVAL;
		file.status = word;
		files[n++] = file;
	}
	if (r < 0)
		return r;
	r = sd_bus_message_exit_container(message);
	if (r < 0)
		return r;
	result->files = TAKE_PTR(files);
	result->n_files = n;
	return 0;
}

static int read_value(sd_bus_message *message, const Field *field, void *structure)
{
	void *value = at(structure, field);
	const char *text;
	int flag, r;

	switch (field->type) {
	case FIELD_TEXT:
		r = sd_bus_message_read(message, "s", &text);
		if (r < 0)
			return r;
		if (field->valid && !field->valid(text))
			return -EINVAL;
		*(const char **)value = text;
		return 0;
	case FIELD_TEXTS:
		return read_texts(message, value);
	case FIELD_NUMBER:
		return sd_bus_message_read(message, "t", value);
	case FIELD_STATUS:
		return sd_bus_message_read(message, "i", value);
	case FIELD_FLAG:
		r = sd_bus_message_read(message, "b", &flag);
		if (r >= 0)
			*(bool *)value = flag;
		return r;
	case FIELD_FD:
		return sd_bus_message_read(message, "h", value);
	case FIELD_WORD:
		r = sd_bus_message_read(message, "s", &text);
		return r < 0 ? r : find_word(field->words, field->n_words, text, value);
	case FIELD_FILES:
		return read_files(message, structure);
	}
	return -EINVAL;
}

static int read_field(
	sd_bus_message *message, const Field *fields, size_t n, void *structure, const char *name, uint64_t *seen)
{
	const char *contents;
	size_t i = 0;
	char type;
	int r;

	while (i < n && strcmp(fields[i].name, name) != 0)
		i++;
	if (i == n || *seen & UINT64_C(1) << i)
		return -EINVAL;
	*seen |= UINT64_C(1) << i;
	r = sd_bus_message_peek_type(message, &type, &contents);
	if (r < 0)
		return r;
	if (type != 'v' || strcmp(contents, types[fields[i].type]) != 0)
		return -EINVAL;
	r = sd_bus_message_enter_container(message, 'v', contents);
	if (r >= 0)
		r = read_value(message, &fields[i], structure);
	if (r >= 0)
		r = sd_bus_message_exit_container(message);
	return r;
}

/* `ret_name`: the last one that was begun. */
static int read_fields(
	sd_bus_message *message, const Field *fields, size_t n, void *structure, char ret_name[static 64])
{
	uint64_t seen = 0;
	const char *name;
	int r;

	r = sd_bus_message_enter_container(message, 'a', "{sv}");
	if (r < 0)
		return r;
	while ((r = sd_bus_message_enter_container(message, 'e', "sv")) > 0) {
		r = sd_bus_message_read(message, "s", &name);
		if (r < 0)
			return r;
		(void)str_quote(name, strlen(name), ret_name, 64);
		r = read_field(message, fields, n, structure, name, &seen);
		if (r >= 0)
			r = sd_bus_message_exit_container(message);
		if (r < 0)
			return r;
	}
	if (r >= 0)
		r = sd_bus_message_exit_container(message);
	return r < 0 ? r : 0;
}

int run_options_read(sd_bus_message *message, RunOptions *ret, char ret_name[static 64])
{
	RunOptions options = RUN_OPTIONS_NONE;
	int r;

	ret_name[0] = '\0';
	r = read_fields(message, option_fields, ELEMENTSOF(option_fields), &options, ret_name);
	if (!r && !*options.language) {
		(void)snprintf(ret_name, 64, "language");
		r = -EINVAL;
	}
	if (r < 0) {
		run_options_done(&options);
		/* a wrong type is found in several ways */
		return r == -ENOMEM ? r : -EINVAL;
	}
	*ret = options;
	return 0;
}

int run_result_read(sd_bus_message *message, RunResult *ret)
{
	RunResult result = no_result;
	char name[64];
	int r;

	r = read_fields(message, result_fields, ELEMENTSOF(result_fields), &result, name);
	if (r < 0) {
		run_result_done(&result);
		return r;
	}
	*ret = result;
	return 0;
}

void run_options_done(RunOptions *options)
{
	free(options->arguments);
	*options = (RunOptions)RUN_OPTIONS_NONE;
}

void run_result_done(RunResult *result)
{
	free(result->files);
	*result = no_result;
}

/* SPDX-License-Identifier: MIT */
#include "shell/audit/show.h"
#include "shell/base/json.h"
#include "shell/base/moment.h"
#include "shell/base/str.h"

#include <string.h>

/* How a field stands in a line. */
typedef enum Form { FORM_TEXT, FORM_SECONDS, FORM_SIZE } Form;

typedef struct LinePart {
	const char *name;
	RecordField field;
	Form form;
} LinePart;

/* The longest ones come last; code and output are no part of a line. */
static const LinePart parts[] = {
	{ "session", RECORD_SESSION, FORM_TEXT },
	{ "peer", RECORD_PEER, FORM_TEXT },
	{ "user", RECORD_USER, FORM_TEXT },
	{ "pid", RECORD_PID, FORM_TEXT },
	{ "unit", RECORD_UNIT, FORM_TEXT },
	{ "run", RECORD_RUN, FORM_TEXT },
	{ "language", RECORD_LANGUAGE, FORM_TEXT },
	{ "label", RECORD_LABEL, FORM_TEXT },
	{ "repl", RECORD_REPL, FORM_TEXT },
	{ "code", RECORD_CODE_BYTES, FORM_SIZE },
	{ "host", RECORD_HOST, FORM_TEXT },
	{ "port", RECORD_PORT, FORM_TEXT },
	{ "secret", RECORD_SECRET, FORM_TEXT },
	{ "recording", RECORD_RECORDING, FORM_TEXT },
	{ "result", RECORD_RESULT, FORM_TEXT },
	{ "exit", RECORD_EXIT, FORM_TEXT },
	{ "signal", RECORD_SIGNAL, FORM_TEXT },
	{ "time", RECORD_DURATION, FORM_SECONDS },
	{ "cpu", RECORD_CPU, FORM_SECONDS },
	{ "peak", RECORD_MEMORY_PEAK, FORM_SIZE },
	{ "stdout", RECORD_STDOUT_BYTES, FORM_SIZE },
	{ "stderr", RECORD_STDERR_BYTES, FORM_SIZE },
	{ "state", RECORD_STATE, FORM_TEXT },
	{ "oom-kills", RECORD_OOM_KILLS, FORM_TEXT },
	{ "key", RECORD_KEY, FORM_TEXT },
	{ "redacted", RECORD_REDACTED, FORM_TEXT },
	{ "cut", RECORD_CUT, FORM_TEXT },
	{ "suppressed-before", RECORD_SUPPRESSED, FORM_TEXT },
	{ "lost-before", RECORD_LOST, FORM_TEXT },
	{ "reason", RECORD_REASON, FORM_TEXT },
	{ "change", RECORD_CHANGE, FORM_TEXT },
	{ "program", RECORD_PROGRAM, FORM_TEXT },
	{ "arguments", RECORD_ARGUMENTS, FORM_TEXT },
	{ "command", RECORD_COMMAND, FORM_TEXT },
};

/* Printable ASCII stays; newlines and tabs get their letters, every other byte \xNN. */
static void put_text(FILE *file, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c == '\\')
			(void)fputs("\\\\", file);
		else if (c == '\n')
			(void)fputs("\\n", file);
		else if (c == '\t')
			(void)fputs("\\t", file);
		else if (c < 0x20 || c >= 0x7f)
			(void)fprintf(file, "\\x%02x", c);
		else
			(void)fputc(c, file);
	}
}

static void put_value(FILE *file, Form form, const char *value)
{
	char text[24];
	uint64_t number;

	/* microseconds as seconds with three places */
	if (form == FORM_SECONDS && str_to_u64(value, UINT64_MAX, &number) == 0)
		(void)fprintf(file, "%llu.%03llus", (unsigned long long)(number / 1000000),
			(unsigned long long)(number / 1000 % 1000));
	else if (form == FORM_SIZE && str_to_u64(value, UINT64_MAX - 1, &number) == 0)
		(void)fputs(str_size(number, text, sizeof(text)), file);
	else
		put_text(file, value);
}

static bool said_by_message(const char *kind)
{
	/* of the other kinds the message only repeats the fields */
	return str_equal(kind, "keeper") || str_equal(kind, "lost") || str_equal(kind, "operator");
}

void record_show_line(FILE *file, const RecordView *view)
{
	const char *const *values = view->values;
	char when[MOMENT_SIZE];

	(void)fprintf(file, "%s %-13s ", moment_local(view->realtime_usec, when),
		values[RECORD_KIND] ? values[RECORD_KIND] : "?");
	put_text(file, values[RECORD_AGENT] ? values[RECORD_AGENT] : "-");
	for (size_t i = 0; i < ELEMENTSOF(parts); i++)
		if (values[parts[i].field]) {
			(void)fprintf(file, " %s=", parts[i].name);
			put_value(file, parts[i].form, values[parts[i].field]);
		}
	if (!view->trusted)
		(void)fputs(" by=front", file);
	if (said_by_message(values[RECORD_KIND]) && values[RECORD_MESSAGE]) {
		(void)fputs(" message=", file);
		put_text(file, values[RECORD_MESSAGE]);
	}
	(void)fputc('\n', file);
}

static bool has_lines(RecordField field)
{
	return field == RECORD_CODE || field == RECORD_STDOUT || field == RECORD_STDERR;
}

static void put_lines(FILE *file, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		_cleanup_free_ char *line = strndup(text, n);

		(void)fputs("\n    ", file);
		if (line)
			put_text(file, line);
		text += n + (text[n] == '\n');
	}
}

void record_show_whole(FILE *file, const RecordView *view)
{
	char when[MOMENT_SIZE];
	bool number;

	(void)fprintf(file, "time: %s\nby: %s\n", moment_local(view->realtime_usec, when),
		view->trusted ? "keeper" : "front");
	for (RecordField i = 0; i < RECORD_FIELDS; i++) {
		if (!view->values[i])
			continue;
		(void)fprintf(file, "%s:", record_field_key(i, &number));
		if (has_lines(i)) {
			put_lines(file, view->values[i]);
		} else {
			(void)fputc(' ', file);
			put_text(file, view->values[i]);
		}
		(void)fputc('\n', file);
	}
	(void)fputc('\n', file);
}

static void put_member(FILE *file, bool *first, RecordField field, const char *value)
{
	bool is_number;
	const char *key = record_field_key(field, &is_number);
	uint64_t number;

	if (!value)
		return;
	if (!is_number)
		json_text(file, first, key, value);
	else if (str_to_u64(value, UINT64_MAX - 1, &number) == 0)
		json_number(file, first, key, number);
}

void record_show_json(FILE *file, const RecordView *view)
{
	bool first = true;

	(void)fputc('{', file);
	json_number(file, &first, "time_usec", view->realtime_usec);
	for (RecordField i = 0; i < RECORD_FIELDS; i++) {
		put_member(file, &first, i, view->values[i]);
		if (i == RECORD_AGENT)
			json_text(file, &first, "by", view->trusted ? "keeper" : "front");
	}
	(void)fputs("}\n", file);
}

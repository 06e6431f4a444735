/* SPDX-License-Identifier: MIT */
/*
 * inih splits lines into sections, names and values; what it forgives is refused here, in the reader that
 * feeds it one line at a time and counts them: lines that its buffer would cut (it would take the rest for a
 * line of its own), bytes that end C strings early, text behind a section's bracket, and blanks before a key
 * - inih reads an indented line as more of the value above, so an indented `memory = 1G` would vanish in a
 * list. Only lists may go on like that.
 */
#include "shell/policy/source.h"
#include "shell/policy/value.h"
#include "shell/base/file.h"

#include <ctype.h>
#include <fcntl.h>
#include <ini.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

int policy_error_set(PolicyError *ret_error, int error, const char *label, unsigned line, const char *format, ...)
{
	size_t size = sizeof(ret_error->text);
	va_list ap;
	int n;

	if (line)
		n = snprintf(ret_error->text, size, "%s:%u: ", label, line);
	else
		n = snprintf(ret_error->text, size, "%s: ", label);
	if (n < 0 || (size_t)n >= size)
		return error;
	va_start(ap, format);
	(void)vsnprintf(ret_error->text + n, size - (size_t)n, format, ap);
	va_end(ap);
	return error;
}

void policy_source_done(PolicySource *source)
{
	for (size_t i = 0; i < policy_keys_n; i++)
		free(source->text[i]);
	free(source->label);
	*source = (PolicySource){ 0 };
}

/* State of one parse: the reader's place, what the last line set, the first failure. */
typedef struct Parse {
	PolicySource *source;
	const char *next, *end;
	unsigned line;
	bool indented; /* the line that the reader gave last */
	int last_row;  /* the row that a line without indentation set last; -1: none since the section began */
	int error;
	PolicyError *ret_error;
} Parse;

static int fail(Parse *parse, int error, const char *format, ...) _printf_(3, 4);

static int fail(Parse *parse, int error, const char *format, ...)
{
	char reason[400];
	va_list ap;

	if (parse->error)
		return parse->error;
	va_start(ap, format);
	(void)vsnprintf(reason, sizeof(reason), format, ap);
	va_end(ap);
	parse->error = policy_error_set(parse->ret_error, error, parse->source->label, parse->line, "%s", reason);
	return error;
}

static void line_check(Parse *parse, const char *line, size_t n)
{
	const char *bracket;
	size_t i = 0;

	if (n > SOURCE_LINE_MAX) {
		fail(parse, -EBADMSG, "the line has more than %u bytes; a list may go on in an indented line",
			SOURCE_LINE_MAX);
		return;
	}
	for (size_t k = 0; k < n; k++)
		if (((unsigned char)line[k] < 0x20 && line[k] != '\t' && !(line[k] == '\r' && k + 1 == n)) ||
			line[k] == 0x7f) {
			fail(parse, -EBADMSG, "the line has a control character");
			return;
		}
	while (i < n && isspace((unsigned char)line[i]))
		i++;
	if (i < n && line[i] != ';' && line[i] != '#')
		parse->indented = i > 0;
	if (i >= n || line[i] != '[')
		return;

	bracket = memchr(line + i, ']', n - i);
	if (!bracket) {
		fail(parse, -EBADMSG, "the section's closing bracket is missing");
		return;
	}
	for (const char *p = bracket + 1; p < line + n; p++) {
		if (*p == ';' && isspace((unsigned char)p[-1]))
			break;
		if (!isspace((unsigned char)*p)) {
			fail(parse, -EBADMSG, "there is text behind the section's closing bracket");
			return;
		}
	}
	parse->last_row = -1;
}

/* inih's reader: one whole line into `buffer`, or NULL at the end and after the first failure. */
static char *read_line(char *buffer, int size, void *data)
{
	Parse *parse = data;
	const char *newline;
	size_t n;

	if (parse->error || parse->next >= parse->end)
		return NULL;
	newline = memchr(parse->next, '\n', (size_t)(parse->end - parse->next));
	n = (size_t)((newline ? newline : parse->end) - parse->next);
	parse->line++;
	line_check(parse, parse->next, n);
	if (parse->error || size < 2)
		return NULL;
	if (n > (size_t)size - 2) {
		fail(parse, -EBADMSG, "the line is too long");
		return NULL;
	}
	memcpy(buffer, parse->next, n);
	buffer[n] = '\n';
	buffer[n + 1] = '\0';
	parse->next = newline ? newline + 1 : parse->end;
	return buffer;
}

static int key_unknown(Parse *parse, const char *section, const char *key)
{
	char shown_section[64], shown_key[64];
	const char *near, *near_section = NULL;

	(void)str_quote(section, strlen(section), shown_section, sizeof(shown_section));
	(void)str_quote(key, strlen(key), shown_key, sizeof(shown_key));
	if (!*section)
		return fail(parse, -EBADMSG, "%s: the key stands before any [section]", shown_key);
	if (!policy_section_known(section)) {
		near = policy_section_near(section);
		return fail(parse, -EBADMSG, "[%s]: unknown section%s%s%s", shown_section,
			near ? "; did you mean [" : "", near ? near : "", near ? "]?" : "");
	}
	if (!*key)
		return fail(parse, -EBADMSG, "[%s]: the key's name is missing", shown_section);
	near = policy_key_near(section, key, &near_section);
	if (!near)
		return fail(parse, -EBADMSG, "[%s] %s: unknown key", shown_section, shown_key);
	if (strcmp(near_section, section) == 0)
		return fail(
			parse, -EBADMSG, "[%s] %s: unknown key; did you mean `%s`?", shown_section, shown_key, near);
	return fail(parse, -EBADMSG, "[%s] %s: unknown key; did you mean [%s] %s?", shown_section, shown_key,
		near_section, near);
}

static int value_check(Parse *parse, const PolicyKey *key, const char *text)
{
	Policy scratch = { 0 };
	char reason[256] = "";
	int r = value_parse(key, text, &scratch, reason, sizeof(reason));

	value_done(key, &scratch);
	if (r == -EINVAL)
		return fail(parse, -EBADMSG, "[%s] %s: %s", key->section, key->key, reason);
	return r < 0 ? fail(parse, r, "[%s] %s: %s", key->section, key->key, strerror(-r)) : 0;
}

static int scope_check(Parse *parse, const PolicyKey *key)
{
	if (key->scope == SCOPE_SYSTEM && parse->source->kind != SOURCE_SYSTEM)
		return fail(parse, -EBADMSG, "[%s] %s: only creel.conf may set it, it is one for the whole machine",
			key->section, key->key);
	if (key->scope == SCOPE_NAMER && parse->source->kind == SOURCE_PROFILE)
		return fail(parse, -EBADMSG, "[%s] %s: a profile cannot name a profile", key->section, key->key);
	return 0;
}

/* Where a comment starts at the end of a line: inih leaves it in lines that go on. */
static size_t comment_start(const char *value)
{
	for (size_t i = 1; value[i]; i++)
		if (value[i] == ';' && isspace((unsigned char)value[i - 1])) {
			while (i && isspace((unsigned char)value[i - 1]))
				i--;
			return i;
		}
	return strlen(value);
}

/* A list's value in an indented line: as if it stood behind a comma in the line above. */
static int value_continue(Parse *parse, const char *value)
{
	const PolicyKey *key = parse->last_row < 0 ? NULL : &policy_keys[parse->last_row];
	int length = (int)comment_start(value);
	char **text, *longer;
	size_t n;

	if (!key || key->type != TYPE_LIST || strchr(value, '=') || value[0] == '[')
		return fail(parse, -EBADMSG, "the line is indented: only the value of a list may go on like that");
	text = &parse->source->text[parse->last_row];
	n = strlen(*text);
	longer = str_format("%s%s%.*s", *text, n && (*text)[n - 1] != ',' ? ", " : "", length, value);
	if (!longer)
		return fail(parse, -ENOMEM, "%s", strerror(ENOMEM));
	free(*text);
	*text = longer;
	return 0;
}

/* inih's handler: 1 to go on. After a failure the reader ends the file. */
static int take_value(void *data, const char *section, const char *name, const char *value)
{
	Parse *parse = data;
	const PolicyKey *key;
	size_t row;

	if (parse->error)
		return 0;
	if (parse->indented)
		return value_continue(parse, value) == 0;
	if (policy_key_find(section, name, &row) < 0) {
		(void)key_unknown(parse, section, name);
		return 0;
	}
	key = &policy_keys[row];
	if (parse->source->text[row]) {
		fail(parse, -EBADMSG, "[%s] %s: it is set twice, first in line %u", section, name,
			parse->source->line[row]);
		return 0;
	}
	if (scope_check(parse, key) < 0)
		return 0;
	/* a list that goes on below may end in a comma; lists are checked when all of them is there */
	if (key->type != TYPE_LIST && value_check(parse, key, value) < 0)
		return 0;
	if (str_set(&parse->source->text[row], value) < 0) {
		fail(parse, -ENOMEM, "%s", strerror(ENOMEM));
		return 0;
	}
	parse->source->line[row] = parse->line;
	parse->last_row = (int)row;
	return 1;
}

int policy_source_parse(
	PolicySource *source, SourceKind kind, const char *label, const char *data, size_t n, PolicyError *ret_error)
{
	Parse parse = {
		.source = source,
		.next = data,
		.end = data + n,
		.last_row = -1,
		.ret_error = ret_error,
	};
	int r;

	source->kind = kind;
	source->label = strdup(label);
	if (!source->label)
		return policy_error_set(ret_error, -ENOMEM, label, 0, "%s", strerror(ENOMEM));
	if (n > SOURCE_FILE_MAX)
		return policy_error_set(
			ret_error, -EBADMSG, label, 0, "the file has more than %u KiB", SOURCE_FILE_MAX / 1024);

	r = ini_parse_stream(read_line, &parse, take_value, &parse);
	if (r < 0)
		return policy_error_set(ret_error, -ENOMEM, label, 0, "%s", strerror(ENOMEM));
	/* a line that is neither section nor `key = value` is known by its number only, and may precede our
	 * failure */
	if (r > 0 && (!parse.error || (unsigned)r < parse.line))
		return policy_error_set(ret_error, -EBADMSG, label, (unsigned)r,
			"the line is neither [section], nor `key = value`, nor a comment");
	if (parse.error)
		return parse.error;

	for (size_t i = 0; i < policy_keys_n; i++) {
		if (!source->text[i] || policy_keys[i].type != TYPE_LIST)
			continue;
		parse.line = source->line[i];
		r = value_check(&parse, &policy_keys[i], source->text[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int policy_source_read(
	PolicySource *source, SourceKind kind, const char *root, const char *label, PolicyError *ret_error)
{
	_cleanup_free_ char *path = str_format("%s%s", root, label), *data = NULL;
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	size_t n;
	int r;

	if (!path)
		return policy_error_set(ret_error, -ENOMEM, label, 0, "%s", strerror(ENOMEM));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0) {
		r = -errno;
		if (r == -ELOOP)
			return policy_error_set(ret_error, -EBADMSG, label, 0, "it is a symbolic link");
		return policy_error_set(ret_error, r, label, 0, "%s", strerror(-r));
	}
	if (fstat(fd, &st) < 0) {
		r = -errno;
		return policy_error_set(ret_error, r, label, 0, "%s", strerror(-r));
	}
	if (!S_ISREG(st.st_mode))
		return policy_error_set(ret_error, -EBADMSG, label, 0, "it is not a regular file");
	if (!*root && st.st_uid != 0)
		return policy_error_set(ret_error, -EBADMSG, label, 0, "it does not belong to root");
	if (!*root && (st.st_mode & (S_IWGRP | S_IWOTH)))
		return policy_error_set(ret_error, -EBADMSG, label, 0, "others than root may write to it (mode %04o)",
			st.st_mode & 07777);

	r = file_read_fd(fd, SOURCE_FILE_MAX, &data, &n);
	if (r == -E2BIG)
		return policy_error_set(
			ret_error, -EBADMSG, label, 0, "the file has more than %u KiB", SOURCE_FILE_MAX / 1024);
	if (r < 0)
		return policy_error_set(ret_error, r, label, 0, "%s", strerror(-r));
	return policy_source_parse(source, kind, label, data, n, ret_error);
}

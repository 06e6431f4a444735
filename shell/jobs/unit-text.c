/* SPDX-License-Identifier: MIT */
#include "shell/jobs/unit-text.h"
#include "shell/base/str.h"

#include <ctype.h>
#include <string.h>

struct UnitText {
	UnitLine *lines;
	size_t n;
	StrList strings; /* what the lines point to */
};

UnitText *unit_text_free(UnitText *text)
{
	if (text) {
		free(text->lines);
		strlist_done(&text->strings);
		free(text);
	}
	return NULL;
}

const UnitLine *unit_text_line(const UnitText *text, size_t index)
{
	return index < text->n ? &text->lines[index] : NULL;
}

static void trim(const char **s, size_t *n)
{
	while (*n && isspace((unsigned char)**s)) {
		(*s)++;
		(*n)--;
	}
	while (*n && isspace((unsigned char)(*s)[*n - 1]))
		(*n)--;
}

/* A copy of `n` bytes without blanks around them, owned by the text. */
static const char *keep(UnitText *text, const char *s, size_t n)
{
	char *copy;

	trim(&s, &n);
	copy = strndup(s, n);
	return copy && strlist_push(&text->strings, copy) == 0 ? copy : NULL;
}

/* The line begins a section, whose name is `*ret`. */
static bool begins_section(const char *line, const char **ret, size_t *ret_n)
{
	size_t n = strlen(line);

	trim(&line, &n);
	if (n < 2 || *line != '[' || line[n - 1] != ']')
		return false;
	line++;
	n -= 2;
	trim(&line, &n);
	*ret = line;
	*ret_n = n;
	return true;
}

static int line_add(UnitText *text, const char *section, const char *key, const char *value, size_t start, size_t end)
{
	UnitLine *lines = reallocarray(text->lines, text->n + 1, sizeof(*lines));

	if (!lines)
		return -ENOMEM;
	text->lines = lines;
	lines[text->n++] = (UnitLine){ section, key, value, start, end };
	return 0;
}

static bool is_blank(const char *line)
{
	return strspn(line, " \t\r\n\v\f") == strlen(line);
}

static bool is_comment(const char *line, size_t n)
{
	while (n && isspace((unsigned char)*line)) {
		line++;
		n--;
	}
	return n && (*line == '#' || *line == ';');
}

/* It ends with a backslash that no other one escapes. */
static bool goes_on(const char *line, size_t n)
{
	bool escaped = false;

	for (size_t i = 0; i < n; i++)
		escaped = !escaped && line[i] == '\\';
	return escaped;
}

/* Physical lines become one, without the comments between them. `*at` is moved behind them. `ret_open`: the text ends within it. */
static char *line_join(const char *text, size_t *at, bool *ret_open)
{
	char *joined = NULL;
	size_t size;
	FILE *file = open_memstream(&joined, &size);
	bool more = true;

	if (!file)
		return NULL;
	for (bool first = true; more && text[*at];) {
		const char *line = text + *at;
		size_t n = strcspn(line, "\n");

		*at += n + (line[n] == '\n');
		if (!first && is_comment(line, n))
			continue;
		more = !is_comment(line, n) && goes_on(line, n);
		(void)fwrite(line, 1, n - more, file);
		if (more)
			(void)fputc(' ', file);
		first = false;
	}
	if (ferror(file) | fclose(file)) {
		free(joined);
		return NULL;
	}
	*ret_open = more;
	return joined;
}

static int line_read(UnitText *text, const char *line, size_t start, size_t end, const char **section)
{
	size_t n = strlen(line);
	const char *key, *value, *equals, *name;

	if (begins_section(line, &name, &n)) {
		*section = keep(text, name, n);
		return *section ? 0 : -ENOMEM;
	}
	key = keep(text, line, n);
	if (!key)
		return -ENOMEM;
	if (*key == '#' || *key == ';')
		return line_add(text, *section, key, NULL, start, end);
	equals = strchr(line, '=');
	if (!equals)
		return 0;
	key = keep(text, line, (size_t)(equals - line));
	value = keep(text, equals + 1, strlen(equals + 1));
	return key && value ? line_add(text, *section, key, value, start, end) : -ENOMEM;
}

int unit_text_parse(const char *text, UnitText **ret)
{
	_cleanup_(unit_text_freep) UnitText *parsed = calloc(1, sizeof(*parsed));
	const char *section = "";

	if (!parsed)
		return -ENOMEM;
	for (size_t at = 0; text[at];) {
		size_t start = at;
		bool open;
		_cleanup_free_ char *line = line_join(text, &at, &open);
		int r = line ? line_read(parsed, line, start, at, &section) : -ENOMEM;

		if (r < 0)
			return r;
	}
	*ret = TAKE_PTR(parsed);
	return 0;
}

static const UnitLine *last_of(const UnitText *text, const char *section, const char *key)
{
	for (size_t i = text->n; i-- > 0;)
		if (text->lines[i].value && strcmp(text->lines[i].section, section) == 0 &&
			strcmp(text->lines[i].key, key) == 0)
			return &text->lines[i];
	return NULL;
}

const char *unit_text_value(const UnitText *text, const char *section, const char *key)
{
	const UnitLine *line = last_of(text, section, key);

	return line ? line->value : NULL;
}

char *unit_text_replace(const char *old, size_t start, size_t end, const char *line)
{
	const char *before = start && old[start - 1] != '\n' ? "\n" : "";

	return str_format("%.*s%s%s\n%s", (int)start, old, before, line, old + end);
}

/* Behind the last line of the section that is not blank, -1: there is no such section; or -ENOMEM. `ret_open` is the text's. */
static ssize_t end_of_section(const char *text, const char *section, bool *ret_open)
{
	ssize_t end = -1;
	bool inside = false;

	*ret_open = false;
	for (size_t at = 0; text[at];) {
		_cleanup_free_ char *line = line_join(text, &at, ret_open);
		const char *name;
		size_t n;

		if (!line)
			return -ENOMEM;
		if (begins_section(line, &name, &n))
			inside = n == strlen(section) && memcmp(name, section, n) == 0;
		if (inside && !is_blank(line))
			end = (ssize_t)at;
	}
	return end;
}

char *unit_text_append(const char *old, const char *section, const char *line)
{
	bool open;
	ssize_t end = end_of_section(old, section, &open);
	const char *before = open ? "\n" : "";

	if (end == -ENOMEM)
		return NULL;
	if (end >= 0 && old[end])
		return unit_text_replace(old, (size_t)end, (size_t)end, line);
	/* behind the last line, which may lack its end, or wait for more */
	before = *old && old[strlen(old) - 1] != '\n' ? open ? "\n\n" : "\n" : before;
	if (end >= 0)
		return str_format("%s%s%s\n", old, before, line);
	return str_format("%s%s\n[%s]\n%s\n", old, before, section, line);
}

char *unit_text_set(const char *old, const char *section, const char *key, const char *value)
{
	_cleanup_(unit_text_freep) UnitText *parsed = NULL;
	_cleanup_free_ char *line = str_format("%s=%s", key, value);
	const UnitLine *last;

	if (!line || unit_text_parse(old, &parsed) < 0)
		return NULL;
	last = last_of(parsed, section, key);
	return last ? unit_text_replace(old, last->start, last->end, line) : unit_text_append(old, section, line);
}

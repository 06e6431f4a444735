/* SPDX-License-Identifier: MIT */
/* As inih reads it: a section's name is between brackets, a key ends at `=` or `:`, an indented line goes on with a value. */
#include "shell/operator/settext.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

typedef struct Line {
	const char *start;
	size_t n; /* with its newline */
} Line;

static size_t blanks(const char *s, size_t n)
{
	size_t i = 0;

	while (i < n && isspace((unsigned char)s[i]))
		i++;
	return i;
}

static bool is_words(const char *s, size_t n, const char *word)
{
	while (n && isspace((unsigned char)s[n - 1]))
		n--;
	return n == strlen(word) && memcmp(s, word, n) == 0;
}

/* A section's first line; `ret_inside` tells whether it is the one that is looked for. */
static bool is_section(Line line, const char *section, bool *ret_inside)
{
	size_t at = blanks(line.start, line.n);
	const char *end = at < line.n && line.start[at] == '[' ? memchr(line.start + at, ']', line.n - at) : NULL;

	if (!end)
		return false;
	*ret_inside = is_words(line.start + at + 1, (size_t)(end - line.start) - at - 1, section);
	return true;
}

static bool is_comment(Line line)
{
	size_t at = blanks(line.start, line.n);

	return at == line.n || line.start[at] == '#' || line.start[at] == ';';
}

static bool is_key(Line line, const char *key)
{
	size_t at = 0;

	if (is_comment(line) || blanks(line.start, line.n) > 0)
		return false;
	while (at < line.n && line.start[at] != '=' && line.start[at] != ':')
		at++;
	return at < line.n && is_words(line.start, at, key);
}

static bool goes_on(Line line)
{
	return blanks(line.start, line.n) > 0 && !is_comment(line);
}

static Line next_line(const char **rest)
{
	const char *end = strchr(*rest, '\n');
	Line line = { *rest, end ? (size_t)(end - *rest) + 1 : strlen(*rest) };

	*rest += line.n;
	return line;
}

typedef struct Places {
	const char *key, *key_end; /* the key with its value */
	const char *section_end;   /* behind the section's last line that is no comment */
} Places;

static void find(const char *text, const char *section, const char *key, Places *ret)
{
	bool inside = false, value = false;

	for (const char *rest = text; *rest;) {
		Line line = next_line(&rest);

		if (value && goes_on(line)) {
			ret->key_end = rest;
			continue;
		}
		/* a comment between the lines of a value goes with them */
		if (value && is_comment(line))
			continue;
		value = false;
		if (is_section(line, section, &inside)) {
			if (inside)
				ret->section_end = rest;
			continue;
		}
		if (inside && !is_comment(line))
			ret->section_end = rest;
		if (inside && !ret->key && is_key(line, key)) {
			ret->key = line.start;
			ret->key_end = rest;
			value = true;
		}
	}
}

int settext_change(const char *text, const char *section, const char *key, const char *value, char **ret)
{
	const char *end = text + strlen(text), *head, *tail;
	Places places = { 0 };
	char *made = NULL;
	size_t n;
	FILE *file;

	find(text, section, key, &places);
	head = places.key ? places.key : places.section_end ? places.section_end : end;
	tail = places.key ? places.key_end : head;

	file = open_memstream(&made, &n);
	if (!file)
		return -ENOMEM;
	(void)fwrite(text, 1, (size_t)(head - text), file);
	if (value && head > text && head[-1] != '\n')
		(void)fputc('\n', file);
	if (value && !places.key && !places.section_end)
		(void)fprintf(file, "%s[%s]\n", head > text ? "\n" : "", section);
	if (value)
		(void)fprintf(file, "%s = %s\n", key, value);
	(void)fwrite(tail, 1, (size_t)(end - tail), file);
	if (fclose(file) != 0) {
		free(made);
		return -ENOMEM;
	}
	*ret = made;
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "shell/jobs/unit-words.h"

#include <ctype.h>
#include <string.h>

/* What needs no quotes anywhere on a line. A word of ; alone would end a command. */
static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_@%$+=:,./-";

/* letter behind a backslash, what it stands for */
static const struct {
	char letter, character;
} escapes[] = {
	{ 'a', '\a' },
	{ 'b', '\b' },
	{ 'f', '\f' },
	{ 'n', '\n' },
	{ 'r', '\r' },
	{ 't', '\t' },
	{ 'v', '\v' },
	{ 's', ' ' },
	{ '\\', '\\' },
	{ '"', '"' },
	{ '\'', '\'' },
};

char *unit_escape(const char *s, bool command)
{
	char *text = malloc(strlen(s) * 2 + 1), *end = text;

	if (!text)
		return NULL;
	for (; *s; s++) {
		if (*s == '%' || (*s == '$' && command))
			*end++ = *s;
		*end++ = *s;
	}
	*end = 0;
	return text;
}

int unit_unescape(char *s, bool command)
{
	char *end = s;

	for (const char *c = s; *c; c++)
		if (*c == '%' || (*c == '$' && command)) {
			if (c[1] != *c)
				return -EINVAL;
			c++;
		}
	for (const char *c = s; *c; c++) {
		if (*c == '%' || (*c == '$' && command))
			c++;
		*end++ = *c;
	}
	*end = 0;
	return 0;
}

static void word_write(FILE *file, const char *word)
{
	if (*word && strspn(word, plain) == strlen(word)) {
		(void)fputs(word, file);
		return;
	}
	(void)fputc('"', file);
	for (; *word; word++)
		if (*word == '"' || *word == '\\')
			(void)fprintf(file, "\\%c", *word);
		else if (*word == '\n')
			(void)fputs("\\n", file);
		else if (*word == '\t')
			(void)fputs("\\t", file);
		else if ((unsigned char)*word < 0x20 || *word == 0x7f)
			(void)fprintf(file, "\\x%02x", (unsigned char)*word);
		else
			(void)fputc(*word, file);
	(void)fputc('"', file);
}

char *unit_words_join(char *const *words, size_t n)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	for (size_t i = 0; i < n; i++) {
		if (i)
			(void)fputc(' ', file);
		word_write(file, words[i]);
	}
	if (ferror(file) | fclose(file)) {
		free(text);
		return NULL;
	}
	return text;
}

static int hex(char c)
{
	return isdigit((unsigned char)c)    ? c - '0'
	       : isxdigit((unsigned char)c) ? tolower((unsigned char)c) - 'a' + 10
					    : -1;
}

/* What stands behind a backslash. Returns how many characters it is, or -EINVAL. */
static int escape_read(const char *s, char *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(escapes) && *s; i++)
		if (*s == escapes[i].letter) {
			*ret = escapes[i].character;
			return 1;
		}
	if (*s != 'x' || hex(s[1]) < 0 || hex(s[2]) < 0)
		return -EINVAL;
	*ret = (char)(hex(s[1]) << 4 | hex(s[2]));
	return *ret ? 3 : -EINVAL;
}

/* One word at `*line`, which is moved behind it, into `word`, which has room for all of the line. */
static int word_read(const char **line, char *word)
{
	const char *s = *line;
	char quote = 0;

	for (; *s && (quote || !strchr(" \t\n\r", *s)); s++) {
		if (*s == '\\') {
			int n = escape_read(s + 1, word);

			if (n < 0)
				return n;
			word++;
			s += n;
		} else if (quote ? *s == quote : *s == '"' || *s == '\'') {
			quote = quote ? 0 : *s;
		} else {
			*word++ = *s;
		}
	}
	if (quote)
		return -EINVAL;
	*word = 0;
	*line = s;
	return 0;
}

int unit_words_split(const char *line, StrList *ret)
{
	_cleanup_free_ char *word = malloc(strlen(line) + 1);

	if (!word)
		return -ENOMEM;
	for (;;) {
		int r;

		line += strspn(line, " \t\n\r");
		if (!*line)
			return 0;
		r = word_read(&line, word);
		if (r == 0)
			r = strlist_add(ret, word);
		if (r < 0)
			return r;
	}
}

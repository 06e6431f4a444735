/* SPDX-License-Identifier: MIT */
#include "shell/keeper/execution-line.h"

#include <stdbool.h>
#include <string.h>

static bool is_plain(const char *word)
{
	return *word && !word[strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-")];
}

char *execution_line(const char *arguments, size_t n)
{
	char *line = NULL;
	size_t size;
	FILE *file = open_memstream(&line, &size);

	if (!file)
		return NULL;
	for (size_t at = 0; at < n;) {
		size_t length = strnlen(arguments + at, n - at);
		_cleanup_free_ char *word = strndup(arguments + at, length);

		if (at)
			(void)fputc(' ', file);
		if (word && is_plain(word)) {
			(void)fputs(word, file);
		} else if (word) {
			(void)fputc('\'', file);
			for (const char *c = word; *c; c++)
				(void)fputs(*c == '\'' ? "'\\''" : (char[]){ *c, '\0' }, file);
			(void)fputc('\'', file);
		}
		at += length + 1;
	}
	if (fclose(file) == 0)
		return line;
	free(line);
	return NULL;
}

/* SPDX-License-Identifier: MIT */
#include "shell/keeper/execution-line.h"

#include <string.h>

static size_t plain_length(const char *word)
{
	return strspn(word, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_@%+=:,./-");
}

static void put_word(FILE *file, const char *word)
{
	size_t plain = plain_length(word), name = strcspn(word, "=") + 1;

	if (*word && !word[plain]) {
		(void)fputs(word, file);
		return;
	}
	/* NAME='a b': so that all of a secret is found (shell/audit/redact.h) */
	if (name <= plain) {
		(void)fwrite(word, 1, name, file);
		word += name;
	}
	(void)fputc('\'', file);
	for (; *word; word++)
		(void)fputs(*word == '\'' ? "'\\''" : (char[]){ *word, '\0' }, file);
	(void)fputc('\'', file);
}

bool execution_is_ours(const char *program)
{
	static const char folder[] = CREEL_LIBEXECDIR "/";

	/* right below it: FOLDER/../../bin/x is a path as well */
	return strncmp(program, folder, sizeof(folder) - 1) == 0 && !strchr(program + sizeof(folder) - 1, '/');
}

char *execution_line(const char *arguments, size_t n, void (*decode)(char *word))
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
		if (word && decode)
			decode(word);
		if (word)
			put_word(file, word);
		at += length + 1;
	}
	if (fclose(file) == 0)
		return line;
	free(line);
	return NULL;
}

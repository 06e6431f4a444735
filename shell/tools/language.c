/* SPDX-License-Identifier: MIT */
#include "shell/tools/language.h"

#include <string.h>
#include <strings.h>

static const struct {
	const char *language;
	const char *names[4];
	const char *extensions[4];   /* the first is given to scripts that have none */
	const char *interpreters[6]; /* a digit or a dot may follow: python3.11 */
} languages[] = {
	{ "python", { "python", "python3", "py" }, { ".py" }, { "python" } },
	{ "javascript", { "javascript", "js", "node" }, { ".js", ".mjs", ".cjs" }, { "node", "nodejs" } },
	{ "typescript", { "typescript", "ts" }, { ".ts", ".mts", ".cts" }, { "ts-node", "tsx" } },
	{ "bash", { "bash", "sh", "shell" }, { ".sh", ".bash" }, { "bash", "sh", "dash" } },
};

const char *language_of_name(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(languages); i++)
		for (size_t k = 0; k < ELEMENTSOF(languages[i].names) && languages[i].names[k]; k++)
			if (strcmp(languages[i].names[k], name) == 0)
				return languages[i].language;
	return NULL;
}

const char *language_of_path(const char *path)
{
	const char *slash = strrchr(path, '/'), *name = slash ? slash + 1 : path, *dot = strrchr(name, '.');

	if (!dot || dot == name)
		return NULL;
	for (size_t i = 0; i < ELEMENTSOF(languages); i++)
		for (size_t k = 0; k < ELEMENTSOF(languages[i].extensions) && languages[i].extensions[k]; k++)
			if (strcasecmp(languages[i].extensions[k], dot) == 0)
				return languages[i].language;
	return NULL;
}

static const char *language_of_interpreter(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(languages); i++)
		for (size_t k = 0; k < ELEMENTSOF(languages[i].interpreters) && languages[i].interpreters[k]; k++) {
			size_t n = strlen(languages[i].interpreters[k]);

			if (strncmp(languages[i].interpreters[k], name, n) == 0 &&
				strspn(name + n, "0123456789.") == strlen(name + n))
				return languages[i].language;
		}
	return NULL;
}

const char *language_of_code(const char *code, size_t n)
{
	const char *end = memchr(code, '\n', n);
	char line[256], *rest, *word;

	if (n < 2 || code[0] != '#' || code[1] != '!')
		return NULL;
	n = end ? (size_t)(end - code) : n;
	if (n >= sizeof(line))
		return NULL;
	memcpy(line, code, n);
	line[n] = '\0';
	for (word = strtok_r(line + 2, " \t\r", &rest); word; word = strtok_r(NULL, " \t\r", &rest)) {
		const char *slash = strrchr(word, '/'), *name = slash ? slash + 1 : word;

		/* `env`, its options and its variables come before the interpreter */
		if (strcmp(name, "env") != 0 && *name != '-' && !strchr(name, '='))
			return language_of_interpreter(name);
	}
	return NULL;
}

const char *language_extension(const char *language)
{
	for (size_t i = 0; i < ELEMENTSOF(languages); i++)
		if (strcmp(languages[i].language, language) == 0)
			return languages[i].extensions[0];
	return "";
}

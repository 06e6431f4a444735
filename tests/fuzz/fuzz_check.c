/* SPDX-License-Identifier: MIT */
/* A name and, behind its first newline, the first line of that file: what language creel check takes it for. */
#include "shell/tools/check-files.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *name = strndup((const char *)data, size);
	char *first = name ? strchr(name, '\n') : NULL;
	CheckLanguage language;

	if (!name)
		return 0;
	if (first)
		*first++ = '\0';
	language = check_language_of(name, first);
	if (language < CHECK_LANGUAGES_N)
		(void)check_is_test(language, name);
	/* an extension decides by itself */
	if (strchr(name, '.') && check_language_of(name, NULL) != language)
		abort();
	return 0;
}

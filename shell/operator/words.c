/* SPDX-License-Identifier: MIT */
#include "shell/operator/operator.h"

#include <string.h>

static const WordOption *option_find(const WordOption *options, const char *word)
{
	for (; options->name; options++)
		if (strcmp(options->name, word) == 0)
			return options;
	return NULL;
}

static int refuse(const char *word, const char *why)
{
	char shown[96];

	(void)fprintf(stderr, "creelctl: `%s`: %s\n", str_quote(word, strlen(word), shown, sizeof(shown)), why);
	return -EINVAL;
}

int words_parse(int argc, char **argv, const WordOption *options, const char **ret_name)
{
	const char *name = NULL;
	bool plain = false;

	for (int i = 0; i < argc; i++) {
		const WordOption *option = plain ? NULL : option_find(options, argv[i]);

		if (option && option->flag) {
			*option->flag = true;
		} else if (option) {
			if (++i >= argc)
				return refuse(option->name, "its value is missing");
			if (option->value)
				*option->value = argv[i];
			else if (strlist_add(option->list, argv[i]) < 0)
				return -ENOMEM;
		} else if (!plain && strcmp(argv[i], "--") == 0) {
			plain = true;
		} else if (!plain && argv[i][0] == '-') {
			return refuse(argv[i], "there is no such option here");
		} else if (name || !ret_name) {
			return refuse(argv[i], "this word is one too many");
		} else {
			name = argv[i];
		}
	}
	if (ret_name)
		*ret_name = name;
	return 0;
}

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
				return -EINVAL;
			if (option->value)
				*option->value = argv[i];
			else if (strlist_add(option->list, argv[i]) < 0)
				return -ENOMEM;
		} else if (!plain && strcmp(argv[i], "--") == 0) {
			plain = true;
		} else if ((!plain && argv[i][0] == '-') || name || !ret_name) {
			return -EINVAL;
		} else {
			name = argv[i];
		}
	}
	if (ret_name)
		*ret_name = name;
	return 0;
}

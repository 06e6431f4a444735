/* SPDX-License-Identifier: MIT */
#include "shell/jobs/options.h"

#include <string.h>

static const Option *option_find(const Option *options, const char *word, const char **ret_value)
{
	size_t n = strncmp(word, "--", 2) == 0 ? strcspn(word, "=") : strlen(word);

	for (; options->name; options++)
		if ((strlen(options->name) == n && strncmp(options->name, word, n) == 0) ||
			str_equal(options->letter, word)) {
			*ret_value = word[n] == '=' ? word + n + 1 : NULL;
			return options;
		}
	return NULL;
}

static int option_take(const Option *option, const char *value)
{
	if (option->list)
		return strlist_add(option->list, value);
	*option->value = value;
	return 0;
}

int options_read(int argc, char **argv, const Option *options, Words *words, Reason *ret_reason)
{
	words->n = 0;
	words->command = NULL;
	words->command_n = 0;
	for (int i = 0; i < argc; i++) {
		const char *value = NULL;
		const Option *option;

		if (strcmp(argv[i], "--") == 0) {
			words->command = argv + i + 1;
			words->command_n = argc - i - 1;
			return 0;
		}
		option = option_find(options, argv[i], &value);
		if (option && option->flag) {
			if (value)
				return reason_set(ret_reason, -EINVAL, "%s takes no value", option->name);
			*option->flag = true;
		} else if (option) {
			if (!value && ++i >= argc)
				return reason_set(ret_reason, -EINVAL, "%s needs a value", option->name);
			if (option_take(option, value ? value : argv[i]) < 0)
				return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		} else if (argv[i][0] == '-' && argv[i][1]) {
			return reason_set(ret_reason, -EINVAL, "there is no option %s", argv[i]);
		} else if (words->n >= words->max) {
			return reason_set(ret_reason, -EINVAL, "`%s` is a word too many", argv[i]);
		} else {
			words->items[words->n++] = argv[i];
		}
	}
	return 0;
}

bool options_help(int argc, char **argv)
{
	return argc >= 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0);
}

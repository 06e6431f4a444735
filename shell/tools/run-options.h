/* SPDX-License-Identifier: MIT */
/* The words behind `creel run`. */
#pragma once

#include "shell/bus/run.h"

typedef struct RunWords {
	const char *path;  /* of the script; "-" = stdin */
	const char *input; /* NULL: none; "-" = stdin */
	bool json, help;
	RunOptions options; /* its strings and arguments are argv's; language "" = not said */
} RunWords;

/* Returns 0, or -EINVAL with a sentence in `why`. Pure. */
_must_check_ int run_words_read(int argc, char **argv, RunWords *ret, char *why, size_t why_size);

void run_words_help(FILE *file);

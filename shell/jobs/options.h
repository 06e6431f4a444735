/* SPDX-License-Identifier: MIT */
/* The words of a verb. Pure. */
#pragma once

#include "shell/base/str.h"
#include "shell/jobs/reason.h"

/* One option of a verb; exactly one of the three pointers is set. A row without a name ends the list. */
typedef struct Option {
	const char *name;   /* with its dashes */
	const char *letter; /* the same in short, or NULL */
	bool *flag;         /* stands alone */
	const char **value; /* takes the next word, or what is behind a `=`; the last one counts */
	StrList *list;      /* takes a word, may be repeated */
} Option;

typedef struct Words {
	const char **items; /* words that are no options, at most `max` */
	size_t n, max;
	char **command; /* behind `--`: a NULL-terminated part of argv; NULL where there was no `--` */
	int command_n;
} Words;

/*
 * Options and other words in any order until `--`. `words->items` and `words->max` are the caller's. Returns 0, -EINVAL (wrong
 * usage, with the reason) or -ENOMEM.
 */
_must_check_ int options_read(int argc, char **argv, const Option *options, Words *words, Reason *ret_reason);

/* --help or -h is the first word, or there is nothing else. */
bool options_help(int argc, char **argv);

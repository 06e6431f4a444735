/* SPDX-License-Identifier: MIT */
/* Commands whose first word is a verb: creel job, screen, service, cron. */
#pragma once

#include "shell/base/cleanup.h"

/* A row without a name ends the table. */
typedef struct Verb {
	const char *name;
	int (*main)(int argc, char **argv); /* the words behind the name; returns the exit status */
	const char *words, *help;           /* of verbs_tell(); NULL: of one that units call */
} Verb;

/* NULL: there is no such verb, or no word at all. */
const Verb *verb_find(const Verb *verbs, int argc, char **argv);

/* The rows that have a help, as lines of the help of creel COMMAND. */
void verbs_tell(FILE *file, const char *command, const Verb *verbs);

/*
 * Runs the verb that is named, or prints the help: on stdout where it is asked for, of the command or of a verb, on stderr where
 * there is no word. A verb that there is not is named. Returns the exit status.
 */
_must_check_ int verbs_run(
	const char *command, const Verb *verbs, int argc, char **argv, void (*print_help)(FILE *file));

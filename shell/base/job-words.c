/* SPDX-License-Identifier: MIT */
/*
 * A job's words on their way through its unit. Without ExecStartEx= and its no-env-expand systemd reads `$` in them; but systemd 252 writes
 * that key into the transient unit's file and does not know it when it reads the file again: with the next daemon-reload a unit that runs
 * would lose its commands, and with them how it ends. And `;` comes back from the file as `\;`. So both travel as control characters; those
 * that stand for them, as two.
 */
#include "shell/base/job-words.h"

#include <stdlib.h>
#include <string.h>

#define DOLLAR '\001'
#define SEMICOLON '\002'
#define ESCAPE '\003' /* before a character that stands for itself */

char *job_word_encode(const char *word)
{
	char *text = malloc(2 * strlen(word) + 1), *end = text;

	for (; text && *word; word++) {
		if (*word == DOLLAR || *word == SEMICOLON || *word == ESCAPE)
			*end++ = ESCAPE;
		*end++ = (char)(*word == '$' ? DOLLAR : *word == ';' ? SEMICOLON : *word);
	}
	if (text)
		*end = '\0';
	return text;
}

void job_word_decode(char *word)
{
	char *end = word;

	for (; *word; word++) {
		if (*word == ESCAPE && word[1])
			*end++ = *++word;
		else
			*end++ = (char)(*word == DOLLAR ? '$' : *word == SEMICOLON ? ';' : *word);
	}
	*end = '\0';
}

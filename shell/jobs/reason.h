/* SPDX-License-Identifier: MIT */
/* Why something could not be done: one sentence for who asked. */
#pragma once

#include "shell/base/cleanup.h"

typedef struct Reason {
	char text[1024];
} Reason;

/* Fills `ret` and returns `error`. What others wrote stays as it is: reason_tell() makes it fit to be looked at. */
int reason_set(Reason *ret, int error, const char *format, ...) _printf_(3, 4);

/* "creel VERB: NAME: reason" on stderr, one line. `name` may be NULL: of no name. */
void reason_tell(const char *verb, const char *name, const char *text);

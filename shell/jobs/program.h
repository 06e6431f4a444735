/* SPDX-License-Identifier: MIT */
/* Which file a command means. */
#pragma once

#include "shell/jobs/reason.h"

/*
 * As a shell finds it: by PATH, or from here where there is a slash in it. `ret` is absolute, in new memory. Returns 0, or a
 * negative errno with what is wrong and the way out: no such file, a folder, no program.
 */
_must_check_ int program_find(const char *word, char **ret, Reason *ret_reason);

/* This program, for units that run it. In new memory. */
_must_check_ int program_self(char **ret, Reason *ret_reason);

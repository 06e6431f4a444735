/* SPDX-License-Identifier: MIT */
/* A script that is to be run by cron: looked at before it is. */
#pragma once

#include "shell/jobs/reason.h"

/*
 * What runs `path` (absolute), as words of a shell in a crontab's line: the script alone, or an interpreter before it. A shell script
 * that does not end at its first failure is run with -eu, by bash with pipefail, too. Its syntax is checked by the interpreter, which
 * says on stderr what is wrong.
 * Returns 0 or a negative errno with the reason. The caller frees.
 */
_must_check_ int script_command(const char *path, char **ret, Reason *ret_reason);

/* One word of a shell in a line of a crontab: quoted where it must be, with % and \ as crontab(5) wants them. NULL: memory is out. */
_must_check_ char *script_word(const char *word);

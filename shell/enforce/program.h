/* SPDX-License-Identifier: MIT */
/* Other programs, run by creel-enforce and waited for. */
#pragma once

#include "shell/enforce/enforce.h"

#include <stddef.h>

/*
 * Runs `argv` (NULL-terminated, absolute path first) without a shell, with `input` (NULL: nothing) as its standard input and
 * an environment of its own. Returns its exit status (0 to 255); -EPROTO when a signal ended it; -EFBIG when it wrote more than
 * 4 MiB; -ETIMEDOUT when it did not end within 120 s, and was killed; another negative errno.
 * Unless 0, `ret_reason` (may be NULL) has the program's name and the first line that it said. `ret_output` (may be NULL)
 * gets what it wrote to standard output, new memory, when it returns 0.
 */
_must_check_ int program_run(const char *const argv[], const char *input, char **ret_output, EnforceReason *ret_reason);

/* Loads rules in one transaction: all of `script` holds, or nothing of it. Returns 0 or a negative errno with a reason. */
_must_check_ int nft_load(const char *script, EnforceReason *ret_reason);

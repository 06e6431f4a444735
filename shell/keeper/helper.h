/* SPDX-License-Identifier: MIT */
/* Programs of ours that the keeper starts as itself, for what it would not do in its own process. */
#pragma once

#include "shell/base/cleanup.h"

#include <sys/types.h>

#define HELPER_FDS 4

/*
 * Executes argv[0] with descriptors 0 to 3 as given (-EBADF: /dev/null, and none at 3), no signals blocked or ignored, and no environment
 * but the character set. It is root, with what its file's program gives up itself. Returns 0 or a negative errno.
 */
_must_check_ int helper_start(char *const argv[], const int fds[static HELPER_FDS], pid_t *ret);

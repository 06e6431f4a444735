/* SPDX-License-Identifier: MIT */
/* Programs of creel's own that the keeper has do what takes long, or what it shall not do itself. */
#pragma once

#include "shell/base/cleanup.h"

#include <sys/types.h>

/*
 * Executes `program` as root, with an environment of LC_ALL alone and all signals as at a process's begin; the program gives up what it
 * does not need. `input_fd` (-EBADF: nothing) and `output_fd` become its stdin and stdout, its stderr is the keeper's. Returns 0 or a
 * negative errno; the caller watches the process.
 */
_must_check_ int helper_start(const char *program, char *const argv[], int input_fd, int output_fd, pid_t *ret);

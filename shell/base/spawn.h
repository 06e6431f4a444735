/* SPDX-License-Identifier: MIT */
/* Another program as a child, by posix_spawn(3). It starts with no signal blocked or ignored, whatever its parent does with them. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <sys/types.h>

/* All borrowed. */
typedef struct SpawnRequest {
	const char *program;          /* its path; NULL: arguments[0] */
	const char *const *arguments; /* NULL-terminated, [0] included */
	char *const *environment;     /* NULL-terminated; NULL: the caller's own */
	int input_fd;                 /* becomes 0; below 0: that is /dev/null */
	int output_fd, error_fd;      /* become 1 and 2 */
	bool search;                  /* a name without a slash is looked for in the caller's PATH */
	bool own_group;               /* it leads a new process group, whose number is its own */
} SpawnRequest;

/*
 * Returns 0 or a negative errno: -ENOENT (no such program), -EACCES (it may not be executed), -EAGAIN, -ENOMEM. Nothing is left of
 * what failed. Who calls it waits for `ret`.
 */
_must_check_ int spawn(const SpawnRequest *request, pid_t *ret);

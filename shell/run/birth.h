/* SPDX-License-Identifier: MIT */
/* Birth: one process, cloned by the keeper straight into its leaf (clone3(2), CLONE_INTO_CGROUP, kernel >= 5.7). */
#pragma once

#include "shell/confine/confine.h"

#include <stdbool.h>

typedef struct BirthRequest {
	int leaf_fd;
	const Confinement *confinement;
	const char *program;               /* absolute path */
	char *const *arguments;            /* NULL-terminated, [0] included */
	char *const *environment;          /* NULL-terminated */
	const char *home;                  /* working directory; "/" when it cannot be entered */
	int input_fd, output_fd, error_fd; /* become 0, 1, 2; stay open in the caller */
	int third_fd;                      /* becomes 3, without close-on-exec; stays open in the caller; 0: none */
	bool terminal;                     /* input_fd is a pty slave: becomes the controlling terminal */
	/*
	 * Instead of `program`: runs in the child, confined, with the keeper's memory copied and out of the agent's reach
	 * (not dumpable); async-signal-safe. Its result is the exit status.
	 */
	int (*entry)(const void *argument);
	const void *entry_argument;
} BirthRequest;

/* Exit statuses of a child that never reached its program; the reason was written to its stderr. */
#define BIRTH_EXIT_CONFINEMENT 125
#define BIRTH_EXIT_CANNOT_EXECUTE 126
#define BIRTH_EXIT_NOT_FOUND 127

/*
 * The child leads a new session. On return it may not have executed its program yet; if it cannot, it says so on its
 * stderr and exits with one of the statuses above. Errors: -EAGAIN (a task limit of the leaf or above it is reached),
 * -ENOMEM, clone3(2)'s others.
 * Context: keeper. Privilege: write access to the leaf, and what confinement_apply() needs.
 */
_must_check_ int birth(const BirthRequest *request, pid_t *ret_pid, int *ret_pid_fd);

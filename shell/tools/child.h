/* SPDX-License-Identifier: MIT */
/*
 * A program that is run beside a loop: its output is kept up to a bound, its time is limited. It is told of once, at its end.
 *
 * Context: the agent's own programs. Privilege: none.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define CHILD_OUTPUT_MAX (1024U * 1024) /* of each stream; what is beyond is read and forgotten */

typedef struct Child Child;

/* What became of it; the bytes live as long as the call. */
typedef struct ChildEnd {
	int status; /* exit status, or 128 and the signal */
	bool late;  /* it was ended because its time was over */
	const char *out, *err;
	size_t out_n, err_n;
	bool out_cut; /* there was more */
} ChildEnd;

/*
 * Executes `path` with `argv`, /dev/null as its input, in a process group of its own; `ended` is called once, from the loop,
 * and frees nothing: the child frees itself after it. Returns 0 or a negative errno.
 */
_must_check_ int child_start(sd_event *event, const char *path, char *const argv[], uint64_t timeout_usec,
	void (*ended)(void *userdata, const ChildEnd *end), void *userdata, Child **ret);

/* Asks it to end (SIGTERM); it is killed where it does not in five seconds. `ended` is still called. */
void child_stop(Child *child);

/* Asks it to end, and forgets it; `ended` is not called. */
Child *child_free(Child *child);

/* SPDX-License-Identifier: MIT */
/*
 * An answer that a program of ours (helper.h) writes into a pipe, which the agent reads when it likes. What lies in a pipe is memory that
 * counts as the keeper's and not as the agent's. So an answer has a place of the keeper's until it was read, or everybody who could
 * read it is gone, or some seconds went by after its end; then what is left of it is taken away. The place is the bound.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <systemd/sd-event.h>

#define ANSWER_SECONDS 10U /* for the agent to read what was written whole */

/* Zero: free. */
typedef struct Answer {
	sd_event_source *writer; /* while the program lives */
	sd_event_source *over;   /* then, while somebody may still read */
	int fd;                  /* with the first the pipe's writing end, with the second its reading end */
} Answer;

/* Nothing of the last answer is there any more. Frees the place where that is so. */
bool answer_is_free(Answer *answer);

/*
 * Executes argv[0] with `input_fd` (-EBADF: none) as its stdin and the pipe as its stdout. `bytes`: of the pipe; 0: as pipes are. `answer`
 * is free, and stays where it is. `ret_fd`: the pipe's other end, for the agent. Returns 0 or a negative errno.
 */
_must_check_ int answer_start(
	sd_event *event, Answer *answer, char *const argv[], int input_fd, unsigned int bytes, int *ret_fd);

/* Whoever still writes goes on alone. */
void answer_done(Answer *answer);

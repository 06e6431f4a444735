/* SPDX-License-Identifier: MIT */
/* Recordings of terminals, where the policy wants them. */
#pragma once

#include "shell/keeper/keeper.h"

/*
 * For a channel with a terminal, before its process is born: `terminal_fd`, the master that the front is to get, becomes that of another
 * terminal. Sets channel->recording. Returns 0, also where nothing is to be recorded; a negative errno: it cannot be recorded, and must not
 * be had.
 */
_must_check_ int terminal_record(Channel *channel, const char *term, int *terminal_fd);

/* The process was not born: removes what was made. */
void terminal_record_undo(Channel *channel);

/* Removes those that are too old, now and from time to time. */
void terminal_recordings_watch(Keeper *keeper);

/* SPDX-License-Identifier: MIT */
/* The agent's crontab: one file in its home, written whole or not at all. Everything as the agent. */
#pragma once

#include "shell/jobs/folders.h"
#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <stddef.h>

#define STORE_FOLDER ".config/creel"
#define STORE_FILE "crontab"

/* Its absolute path, in new memory. NULL: memory is out. */
_must_check_ char *store_path(void);

/* Returns 0; -ENOENT: there is none; or another negative errno with the reason. */
_must_check_ int store_read(char **ret, size_t *ret_n, Reason *ret_reason);

/*
 * Nobody else changes it until the descriptor is closed; waits for who does. Makes the folder. Returns the folder's descriptor, or a
 * negative errno with the reason.
 */
_must_check_ int store_lock(Reason *ret_reason);

/* The file is that text, mode 0600. `folder_fd`: of store_lock(). */
_must_check_ int store_write(int folder_fd, const char *text, size_t n, Reason *ret_reason);
_must_check_ int store_remove(int folder_fd, Reason *ret_reason);

/*
 * The first call since the machine has started: true, and remembers that. What cannot be remembered is taken for the first.
 * To be called by who makes a crontab as well: its @reboot lines are for the next start of the machine.
 */
bool store_boot(void);

/* SPDX-License-Identifier: MIT */
/*
 * Folders of the agent's home that jobs and services keep files in, and those files: as a person would have made them.
 * Everything runs as the agent itself: a folder that is a link is where the agent wants it, a file at the end is never a link.
 */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define FOLDER_LOGS "logs"
#define FOLDER_PIDS "pids"
#define FOLDER_JOBS ".creel/jobs"
#define FOLDER_UNITS ".config/systemd/user"

/* $HOME, or what the user table says where that is no absolute path. */
const char *home_folder(void);

/* What to do about that errno, as the end of a reason: "; make room first: ...", or "". */
const char *folder_hint(int r);

/* "/home/agent/logs" for "logs", in new memory; `name` may be NULL, or a file in it. NULL: memory is out. */
_must_check_ char *home_path(const char *below, const char *name);

/*
 * Opens a folder below the home; `make`: with what is missing of it (mode 0755 by the umask). Returns a descriptor, or a
 * negative errno with the reason, which names the folder.
 */
_must_check_ int folder_open(const char *below, bool make, Reason *ret_reason);

/*
 * The file `name` of that folder anew, by a temporary file and rename(2): it has the old content or the new one. Returns 0 or a
 * negative errno with the reason; nothing is left of it then.
 */
_must_check_ int folder_put(int folder_fd, const char *below, const char *name, const char *text, size_t n, mode_t mode,
	Reason *ret_reason);

/*
 * Opens a log to be appended to, for its owner: no link, and a regular file. `keep`: what is in it becomes NAME.old first.
 * Returns a descriptor or a negative errno.
 */
_must_check_ int folder_log(int folder_fd, const char *name, bool keep);

/* SPDX-License-Identifier: MIT */
/* ~/pids/NAME.pid, as a person writes them: `echo $! > ~/pids/NAME.pid`. */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <sys/types.h>

typedef enum PidFile {
	PIDFILE_NONE,   /* there is none */
	PIDFILE_BROKEN, /* no number is in it */
	PIDFILE_DEAD,   /* no such process */
	PIDFILE_REUSED, /* the number belongs to a process that is younger than the file, or another user's */
	PIDFILE_ALIVE,
} PidFile;

/* `file`: "NAME.pid" in `folder_fd`. `ret_pid` is 0 where there is no number. */
PidFile pidfile_look(int folder_fd, const char *file, pid_t *ret_pid);

/* Takes ~/pids/NAME.pid away, unless the process in it is alive. */
void pidfile_remove(const char *name);

/* SPDX-License-Identifier: MIT */
/* ~/pids/NAME.pid: what agents write with `echo $! > ~/pids/NAME.pid`, and what jobs and services write there. */
#pragma once

#include "shell/jobs/process.h"

typedef enum PidFate {
	PID_RUNS,
	PID_GONE,   /* no process of that number */
	PID_REUSED, /* one that began after the file was written, or somebody else's */
	PID_BROKEN, /* no number */
} PidFate;

typedef struct PidFile {
	char *name; /* without .pid */
	pid_t pid;
	PidFate fate;
} PidFile;

typedef struct PidFiles {
	PidFile *items;
	size_t n;
} PidFiles;

#define PID_FILES_MAX 1000U

/* Those that can be read, at most PID_FILES_MAX; no folder is none. Returns 0 or -ENOMEM. */
_must_check_ int pid_files_read(const Processes *processes, PidFiles *ret);
void pid_files_done(PidFiles *files);
#define _cleanup_pid_files_ _cleanup_(pid_files_done)

/* A number alone, blanks around it. Returns 0 or -EINVAL. Pure. */
_must_check_ int pid_parse(const char *text, pid_t *ret);

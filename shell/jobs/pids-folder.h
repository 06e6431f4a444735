/* SPDX-License-Identifier: MIT */
/* All of ~/pids: what agents write with `echo $! > ~/pids/NAME.pid`, and what jobs and services write there. */
#pragma once

#include "shell/jobs/pidfile.h"

#include <stddef.h>

#define PIDS_MAX 1000U

typedef struct NamedPid {
	char *name; /* without .pid */
	pid_t pid;  /* 0: there is no number in it */
	PidFile is;
} NamedPid;

typedef struct NamedPids {
	NamedPid *items;
	size_t n;
} NamedPids;

/* Those that can be read, at most PIDS_MAX; no folder is none. Returns 0 or -ENOMEM. */
_must_check_ int named_pids_read(NamedPids *ret);
void named_pids_done(NamedPids *pids);
#define _cleanup_named_pids_ _cleanup_(named_pids_done)

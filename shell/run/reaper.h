/* SPDX-License-Identifier: MIT */
/* Process 1 of a run's own pid namespace: what it is there for is to wait. */
#pragma once

#include <sys/types.h>

/* What it writes, once, when the program ended. */
typedef struct ReaperReport {
	int code, status; /* si_code and si_status of waitid(2) */
	int full;         /* the scratch has no room left, for bytes or for files */
} ReaperReport;

/*
 * To be called before the program is forked: from here on SIGINT and SIGCHLD are kept until reaper_main() takes them.
 * Context: child, process 1. async-signal-safe. Returns 0 or a negative errno.
 */
int reaper_prepare(void);

/*
 * Waits for `program`, and for all that becomes its child because its parent ended; writes the report, and exits. The
 * process must not be dumpable: then no other of the agent's reaches its memory and descriptors, or traces it.
 * Context: child, process 1, confined. Closes 0 to 3.
 */
_Noreturn void reaper_main(pid_t program, int report_fd);

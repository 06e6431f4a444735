/* SPDX-License-Identifier: MIT */
/* The end of processes of the agent's, by signals. */
#pragma once

#include "shell/jobs/process.h"

/*
 * SIGTERM and SIGCONT to each of `pids` - `hang_up`: SIGHUP, too, as a shell that waits for input takes no SIGTERM - and to those
 * that live `grace_usec` later SIGKILL; waits until they are gone, five seconds more at most. Only to those very processes,
 * whatever has their numbers later. Returns 0, -EPERM, -ETIMEDOUT (one is not gone: it waits for a device) or another negative
 * errno.
 */
_must_check_ int processes_end(
	const Processes *processes, const pid_t *pids, size_t n, bool hang_up, uint64_t grace_usec);

/* SPDX-License-Identifier: MIT */
/*
 * All that runs for the calling agent, looked at once: processes by their cgroups, units by the user manager, interpreters by
 * the keeper, screens by their sockets, PID files. Nothing is remembered from one look to the next.
 *
 * No part is needed by another: where the user manager or the keeper does not answer, the rest is told.
 */
#pragma once

#include "shell/jobs/listeners.h"
#include "shell/jobs/process.h"
#include "shell/jobs/reason.h"
#include "shell/jobs/row.h"

typedef struct Gathered {
	Rows rows;
	Processes processes;
	Listener *listeners; /* everybody's */
	size_t n_listeners;
	Reason manager, keeper; /* why it is not asked; "" = it was */
	/* working: which row has processes.items[i]; SIZE_MAX: none yet */
	size_t *owner;
} Gathered;

/* Returns 0 or a negative errno: processes cannot be read, or memory is out. */
_must_check_ int gather(Gathered *ret);
void gathered_done(Gathered *gathered);
#define _cleanup_gathered_ _cleanup_(gathered_done)

/* ---- its parts: each adds rows, or takes processes for them. Return 0 or a negative errno ---- */

/* Units; what failed to be asked stands in `manager`. */
_must_check_ int gather_units(Gathered *gathered);
/* The kind of row that a unit of the user manager is in, and its name there. */
RowKind unit_row_kind(const char *unit, char *ret_name, size_t size);
/* Screens in their folder, and what ~/pids names. */
_must_check_ int gather_screens(Gathered *gathered);
_must_check_ int gather_pid_files(Gathered *gathered);
_must_check_ int gather_repls(Gathered *gathered);
/* Who listens where; needs all the rest. */
_must_check_ int gather_ports(Gathered *gathered);

/* The process, and all that descend from it and are nobody's yet, are the row's. */
_must_check_ int gather_take(Gathered *gathered, size_t row, pid_t pid);

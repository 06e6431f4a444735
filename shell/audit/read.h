/* SPDX-License-Identifier: MIT */
/* Reading the record back (shell/audit/record.h has its fields). */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct RecordFilter {
	const char *agent; /* only this agent's; NULL: all */
	uid_t front_uid;   /* of the user creel-sshd, whose refusals count besides root's entries; (uid_t)-1:
			      none */
	uint64_t count;    /* the last so many entries */
} RecordFilter;

/* The fields of one entry, NULL where it has none. Values may hold any byte but NUL, which ends them. */
typedef struct RecordView {
	uint64_t realtime_usec;
	bool trusted; /* written by root: a keeper */
	const char *kind, *agent, *session, *peer, *key, *command, *result, *exit, *signal, *reason, *duration_usec,
		*cpu_usec, *memory_peak, *message, *identifier, *lost, *channel, *door, *oom_kills;
	/* of runs */
	const char *run, *language, *label, *repl, *caller, *code, *code_bytes, *output, *output_bytes, *error_output,
		*error_bytes, *state;
} RecordView;

/*
 * Calls `show` for the chosen entries, oldest first. Only entries whose sender the journal vouches for are
 * looked at
 * (_UID= is set by journald from the sender's credentials). Returns the number of entries, or a negative
 * errno
 * (-ENOENT: there is no record yet).
 */
_must_check_ int record_read(const RecordFilter *filter, void (*show)(const RecordView *view, void *data), void *data);

/* SPDX-License-Identifier: MIT */
/* What a unit of the user manager wrote into the journal, and what the manager said about it. */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define JOURNAL_LINE_MAX (64U * 1024) /* bytes of a message that are told */

typedef struct JournalLine {
	const char *text; /* any bytes; valid until the next call */
	size_t n;
	uint64_t usec;   /* since 1970 */
	bool by_manager; /* systemd's own words */
} JournalLine;

typedef struct Journal Journal;

/* Entries of `unit` alone ("web.service"). Returns 0 or a negative errno with the reason. */
_must_check_ int journal_open(const char *unit, Journal **ret, Reason *ret_reason);

/* What systemd said about lines of that unit file. */
_must_check_ int journal_open_file(const char *path, Journal **ret, Reason *ret_reason);

/* Accepts NULL. Returns NULL. */
Journal *journal_free(Journal *journal);
DEFINE_CLEANUP(Journal, journal_free)

/* The next line is the first of the last `n`; or the first from then on. */
_must_check_ int journal_from_tail(Journal *journal, uint64_t n);
_must_check_ int journal_from_time(Journal *journal, uint64_t realtime_usec);

/* Returns 1, 0 (no more until now) or a negative errno. */
_must_check_ int journal_next(Journal *journal, JournalLine *ret);

/* Waits for more. Returns 1, 0 (time over) or a negative errno. */
_must_check_ int journal_wait(Journal *journal, uint64_t timeout_usec);

/* Shows what was written to stdout, and waits for more. Returns 1, -EPIPE (nobody reads stdout any more) or another errno. */
_must_check_ int journal_follow(Journal *journal);

/* SPDX-License-Identifier: MIT */
/* Reading the record back (shell/audit/record.h has its fields). */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What is read of an entry, in the order in which it is shown. */
typedef enum RecordField {
	RECORD_KIND,
	RECORD_AGENT,
	RECORD_SESSION,
	RECORD_DOOR,
	RECORD_PEER,
	RECORD_USER,
	RECORD_KEY,
	RECORD_CHANNEL,
	RECORD_COMMAND,
	RECORD_ORIGINAL,
	RECORD_PROGRAM,
	RECORD_ARGUMENTS,
	RECORD_PID,
	RECORD_PARENT,
	RECORD_UNIT,
	RECORD_RUN,
	RECORD_LANGUAGE,
	RECORD_LABEL,
	RECORD_REPL,
	RECORD_CALLER,
	RECORD_CODE,
	RECORD_CODE_BYTES,
	RECORD_HOST,
	RECORD_PORT,
	RECORD_CHANGE,
	RECORD_SECRET,
	RECORD_RECORDING,
	RECORD_RESULT,
	RECORD_EXIT,
	RECORD_SIGNAL,
	RECORD_REASON,
	RECORD_DURATION,
	RECORD_CPU,
	RECORD_MEMORY_PEAK,
	RECORD_OOM_KILLS,
	RECORD_STDOUT,
	RECORD_STDOUT_BYTES,
	RECORD_STDERR,
	RECORD_STDERR_BYTES,
	RECORD_STATE,
	RECORD_REDACTED,
	RECORD_CUT,
	RECORD_SUPPRESSED,
	RECORD_LOST,
	RECORD_MESSAGE,
	RECORD_FIELDS, /* how many */
} RecordField;

/* The key of a field in JSON, and whether its values are numbers. */
const char *record_field_key(RecordField field, bool *ret_number);

typedef struct RecordFilter {
	const char *agent, *session, *kind, *run; /* only these; NULL: all */
	const char *result; /* as recorded; or `ok`: exit 0, completed, connected; `failed`: any other; NULL: all */
	uint64_t since_usec, until_usec; /* CLOCK_REALTIME, both included; 0: no bound */
	uid_t front_uid;                 /* of the user creel-sshd, whose refusals count besides root's entries;
						     (uid_t)-1: none */
	uid_t uid;                       /* only what concerns this user, by its number; (uid_t)-1: all */
	uint64_t count;                  /* the last so many entries; UINT64_MAX: all */
	const char *after;               /* with all entries: those behind this cursor alone; NULL: all */
	char **ret_last; /* the cursor of the last that was shown, new memory; untouched where none was; NULL: not wanted */
	bool follow;     /* then wait for more, until show() says that it is enough */
} RecordFilter;

/* The fields of one entry, NULL where it has none. Values may hold any byte but NUL, which ends them. */
typedef struct RecordView {
	uint64_t realtime_usec; /* when it happened */
	bool trusted;           /* written by root: a keeper, creelctl */
	const char *values[RECORD_FIELDS];
} RecordView;

/* A field that is a number; 0 where it is none. */
uint64_t record_number(const RecordView *view, RecordField field);

/*
 * Calls `show` for the chosen entries, oldest first, until it returns a number other than 0, which is returned. Only entries whose
 * sender the journal vouches for are looked at (_UID= is set by journald from the sender's credentials). Else returns 0, or a negative
 * errno (-ENOENT: there is no record yet).
 */
_must_check_ int record_read(const RecordFilter *filter, int (*show)(const RecordView *view, void *data), void *data);

/* Bytes that the record takes on disk. */
_must_check_ int record_disk_use(uint64_t *ret);

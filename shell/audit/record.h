/* SPDX-License-Identifier: MIT */
/*
 * The record: one structured journal entry for each thing that happened, in the journal namespace `creel`.
 *
 * Written as datagrams of journald's native protocol (systemd.io, "Native Journal Protocol") straight to the
 * namespace's socket, because LogNamespace= would give the writer a mount namespace that its children inherit.
 * Only root and the front may write to that socket; readers trust _UID=, never a CREEL_ field alone.
 *
 * Fields (all text): CREEL_KIND login|logout|command-start|command|exec|forward|secret|refusal|policy|operator|lost|keeper, CREEL_AGENT, CREEL_UID, CREEL_SESSION, CREEL_DOOR,
 * CREEL_PEER, CREEL_KEY (fingerprint), CREEL_CHANNEL, CREEL_COMMAND, CREEL_RESULT exit|signal|unknown|hangup|refused|failed,
 * CREEL_EXIT (status), CREEL_SIGNAL (name without SIG), CREEL_REASON, CREEL_DURATION_USEC, CREEL_CPU_USEC,
 * CREEL_MEMORY_PEAK (bytes), CREEL_OOM_KILLS, CREEL_RECORDING (of its terminal:
 * a file of shell/audit/recordings.h, or none). Of each: CREEL_REDACTED (secrets that were left out, shell/audit/redact.h), CREEL_CUT
 * (values that were cut because the writer had written too much), CREEL_TIME_USEC (CLOCK_REALTIME, where it came to the journal late).
 *
 * Of a secret: CREEL_SECRET (its name), CREEL_CHANGE set|use|remove, and who called as of a run. Never its value.
 *
 * What cannot be written is never silently missing: it is counted, and CREEL_KIND lost says how many (CREEL_LOST).
 *
 * Of a run, CREEL_KIND run-start and run: CREEL_RUN (number), CREEL_LANGUAGE, CREEL_LABEL, CREEL_REPL (name of the session that
 * keeps its state), CREEL_CALLER (where the calling process lies: session-N.scope or creel-leaves@UID.service/session-ID); at
 * the start CREEL_CODE (its first 64 KiB), CREEL_CODE_BYTES, CREEL_NETWORK, CREEL_DIRECTORY, CREEL_INDEPENDENT and its limits;
 * at the end CREEL_RESULT (a reason, or refused), CREEL_STDOUT and CREEL_STDERR (their first 16 KiB), CREEL_STDOUT_BYTES,
 * CREEL_STDERR_BYTES, CREEL_STATE preserved|reset.
 *
 * Of what an agent's user manager starts, CREEL_KIND job-start, service-start, cron-start and, at its end, job, service, cron:
 * CREEL_UNIT and CREEL_LABEL (the name alone), which are the agent's word; CREEL_PID; CREEL_PROGRAM and CREEL_ARGUMENTS at the start; at the
 * end CREEL_RESULT exit|signal, and of that process, with descendants that were waited for, CREEL_CPU_USEC and CREEL_MEMORY_PEAK (of the
 * largest).
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define RECORD_NAMESPACE "creel"
#define RECORD_SOCKET "/run/systemd/journal.creel/socket"

typedef struct Record Record;

/*
 * `identifier` becomes SYSLOG_IDENTIFIER. The socket is connected at the first entry and again when journald was
 * restarted. Returns 0 or a negative errno; a missing journal is no failure here (entries count as lost).
 */
_must_check_ int record_new(const char *identifier, Record **ret);

/* Accepts NULL, returns NULL. What waits has two seconds more while a journal is there, and what was lost is said; then it is gone. */
Record *record_free(Record *record);
DEFINE_CLEANUP(Record, record_free)

#define RECORD_WAITING_MAX (1U << 20) /* bytes */
#define RECORD_SHORT 256U             /* bytes */

/* One entry in the making. Values are copied, without the secrets in them; field names are literals of ours. */
typedef struct RecordEntry {
	char *data;
	size_t n, room;
	int error;   /* the first failure; the entry is then not sent */
	size_t most; /* bytes of a value; 0: any */
	bool important, of_strangers;
	unsigned int redacted, cut;
} RecordEntry;

void entry_text(RecordEntry *entry, const char *field, const char *value);
void entry_bytes(RecordEntry *entry, const char *field, const void *value, size_t n);
void entry_number(RecordEntry *entry, const char *field, uint64_t value);
void entry_format(RecordEntry *entry, const char *field, const char *format, ...) _printf_(3, 4);
void entry_done(RecordEntry *entry);

/*
 * Bounds what may be written for one agent, so that none fills the record: bytes at once, and bytes a day. Beyond them values are cut
 * at RECORD_SHORT bytes, and entries are few; those that say who came and what changed have a room of their own.
 */
typedef struct RecordBudget {
	uint64_t burst, day; /* bytes */
} RecordBudget;

void record_bound(Record *record, const RecordBudget *budget);

/* Whose entries these are: for the entry that says how many were lost. Borrowed. */
void record_name(Record *record, const char *agent, uid_t uid);

/* Before the first field of an entry that is bounded. `important`: see above. */
void record_begin(Record *record, RecordEntry *entry, bool important);

/* Instead, for an entry that anybody may cause who reaches the machine: these are bounded by themselves, and use up nothing of the agent's. */
void record_begin_of_strangers(RecordEntry *entry);

/*
 * Sends and empties the entry. Never blocks: while the journal does not take it, it waits in memory, RECORD_WAITING_MAX bytes of
 * entries at most. Returns 0; -EDQUOT: the bound was reached; or another negative errno. What was lost is counted already.
 */
int record_send(Record *record, RecordEntry *entry);

/* So many were lost before they came here. */
void record_lose(Record *record, uint64_t n);

/* Something waits, or is to be said about what was lost: record_flush() is to be called in some time. */
bool record_waits(const Record *record);
/* In how much: soon where the journal is only busy. */
uint64_t record_again_usec(const Record *record);
void record_flush(Record *record);

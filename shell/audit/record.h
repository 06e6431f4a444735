/* SPDX-License-Identifier: MIT */
/*
 * The record: one structured journal entry for each thing that happened, in the journal namespace `creel`.
 *
 * Written as datagrams of journald's native protocol (systemd.io, "Native Journal Protocol") straight to the
 * namespace's socket, because LogNamespace= would give the writer a mount namespace that its children inherit.
 * Only root and the front may write to that socket; readers trust _UID=, never a CREEL_ field alone.
 *
 * Fields (all text): CREEL_KIND login|logout|command|refusal|keeper, CREEL_AGENT, CREEL_UID, CREEL_SESSION, CREEL_DOOR,
 * CREEL_PEER, CREEL_KEY (fingerprint), CREEL_CHANNEL, CREEL_COMMAND, CREEL_RESULT exit|signal|unknown|hangup|refused|failed,
 * CREEL_EXIT (status), CREEL_SIGNAL (name without SIG), CREEL_REASON, CREEL_DURATION_USEC, CREEL_CPU_USEC,
 * CREEL_MEMORY_PEAK (bytes), CREEL_OOM_KILLS, CREEL_LOST (records that could not be written before this one).
 *
 * Of a run, CREEL_KIND run-start and run: CREEL_RUN (number), CREEL_LANGUAGE, CREEL_LABEL, CREEL_REPL (name of the session that
 * keeps its state), CREEL_CALLER (where the calling process lies: session-N.scope or creel-leaves@UID.service/session-ID); at
 * the start CREEL_CODE (its first 64 KiB), CREEL_CODE_BYTES, CREEL_NETWORK, CREEL_DIRECTORY, CREEL_INDEPENDENT and its limits;
 * at the end CREEL_RESULT (a reason, or refused), CREEL_STDOUT and CREEL_STDERR (their first 16 KiB), CREEL_STDOUT_BYTES,
 * CREEL_STDERR_BYTES, CREEL_STATE preserved|reset.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#define RECORD_NAMESPACE "creel"
#define RECORD_SOCKET "/run/systemd/journal.creel/socket"

typedef struct Record Record;

/*
 * `identifier` becomes SYSLOG_IDENTIFIER. The socket is connected at the first entry and again when journald was
 * restarted. Returns 0 or a negative errno; a missing journal is no failure here (entries count as lost).
 */
_must_check_ int record_new(const char *identifier, Record **ret);

/* Accepts NULL. Returns NULL. */
Record *record_free(Record *record);
DEFINE_CLEANUP(Record, record_free)

/* One entry in the making. Values are copied; field names are literals of ours. */
typedef struct RecordEntry {
	char *data;
	size_t n, room;
	int error; /* the first failure; the entry is then not sent */
} RecordEntry;

void entry_text(RecordEntry *entry, const char *field, const char *value);
void entry_bytes(RecordEntry *entry, const char *field, const void *value, size_t n);
void entry_number(RecordEntry *entry, const char *field, uint64_t value);
void entry_format(RecordEntry *entry, const char *field, const char *format, ...) _printf_(3, 4);
void entry_done(RecordEntry *entry);

/*
 * Sends and empties the entry. Never blocks: what cannot be written is counted, and the count goes out as
 * CREEL_LOST with the next entry that can. Returns 0 or a negative errno (already counted).
 */
int record_send(Record *record, RecordEntry *entry);

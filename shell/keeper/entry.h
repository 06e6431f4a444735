/* SPDX-License-Identifier: MIT */
/* What every entry of the keeper's in the record has (recording.c). */
#pragma once

#include "shell/keeper/keeper.h"
#include "shell/policy/executions.h"

#include <syslog.h>

void keeper_entry_begin(const Keeper *keeper, RecordEntry *entry, const char *kind, int priority);
/* What the agent does is to be recorded: [audit] enabled. */
bool keeper_records(const Keeper *keeper);
void keeper_entry_session(const Session *session, RecordEntry *entry);
/* A record that could not be written is counted in the next one; here it is told once. Empties the entry. */
void keeper_entry_send(Keeper *keeper, RecordEntry *entry);
/* Where records wait, the journal is tried again in some time. */
void keeper_flush_later(Keeper *keeper);

/* unit-recording.c: a process that the user manager started; `execution` is its first, `line` its arguments or NULL. */
void keeper_record_unit_start(
	Keeper *keeper, const struct execution_unit *unit, const struct execution *execution, const char *line);
void keeper_record_unit(Keeper *keeper, const struct execution_unit *unit);

/* SPDX-License-Identifier: MIT */
/* creelctl metrics: what it tells, and how the record's entries are counted for it. */
#pragma once

#include "shell/audit/read.h"
#include "shell/operator/series.h"

/* All that there are; creelctl(8) has the list, too. */
extern const Family metrics_families[];

/* Counts one entry. `known`: an agent that there is; entries of others are counted without a name. Returns 0 or -ENOMEM. Pure. */
_must_check_ int metrics_count(SeriesTable *table, const RecordView *view, const StrList *known);

/* What an agent's counters begin with, so that the first of anything is seen as a change. */
_must_check_ int metrics_begin(SeriesTable *table, const char *agent);

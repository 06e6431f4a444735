/* SPDX-License-Identifier: MIT */
/* The firewall's tables: whether they are still as creel-enforce made them. Any root may change them, and nft tells nobody. */
#pragma once

#include "shell/enforce/enforce.h"

/*
 * Notes in TABLES_DIR how table `inet NAME` is listed now, without counts and elements of sets. Returns 0 or a negative
 * errno with a reason.
 */
_must_check_ int table_note(const char *name, EnforceReason *ret_reason);

/* It was noted, and is as it was noted. */
bool table_is_as_noted(const char *name);

/* The name of a table that is not as it was noted, or was never noted; NULL when all are. */
const char *table_changed(void);

/* SPDX-License-Identifier: MIT */
/* Lines of a unit's journal on standard output, for people or, an object a line, for programs. */
#pragma once

#include "shell/jobs/journal.h"

/* In a terminal nothing in it acts. `json`: time, by ("service" or "systemd"), message. Returns 0, -EPIPE or -ENOMEM. */
_must_check_ int journal_show_line(const JournalLine *line, bool json);

/*
 * The last `lines` of `unit`, all of them for more than there are; `follow`: and those that come, until nobody reads them. Returns
 * 0, -EPIPE (nobody reads) or another negative errno; the reason is set for all of them.
 */
_must_check_ int journal_show(const char *unit, uint64_t lines, bool follow, bool json, Reason *ret_reason);

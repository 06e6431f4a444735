/* SPDX-License-Identifier: MIT */
/* Which row of the table a word means. */
#pragma once

#include "shell/jobs/gather.h"

/*
 * `word` is a name, LANGUAGE/NAME of an interpreter, or a PID; `kind` one of RowKind or -1. `ret_pid` is the process that was meant
 * when it is one of the row's beside its first, else 0. Returns 0, -ENOENT (nothing of that name), -EEXIST (several),
 * -EPERM (somebody else's process), each with what is to be said instead.
 */
_must_check_ int row_select(
	const Gathered *gathered, const char *word, int kind, const Row **ret, pid_t *ret_pid, Reason *ret_reason);

/* SPDX-License-Identifier: MIT */
/* Another program's words, within bounds of size and time. */
#pragma once

#include "shell/jobs/reason.h"

#include <stddef.h>
#include <stdint.h>

/*
 * Runs `argv` (found by PATH) without input, in the C locale, and collects what it writes to stdout and stderr, at most `max`
 * bytes; more is read and left out. What does not end within `timeout_usec` is killed. `ret` is the caller's to free, with a NUL
 * behind it. Returns its exit status (128 and the signal), or a negative errno with the reason: -ENOENT, -ETIMEDOUT.
 */
_must_check_ int child_read(const char *const *argv, uint64_t timeout_usec, size_t max, char **ret, Reason *ret_reason);

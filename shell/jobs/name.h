/* SPDX-License-Identifier: MIT */
/* Names of jobs, services, screens and cron's entries: one rule, so that each is a file's name, a unit's and a word of a shell. Pure. */
#pragma once

#include "shell/jobs/reason.h"

#include <stdbool.h>

#define NAME_MAX_BYTES 64U

/* [A-Za-z0-9][A-Za-z0-9._-]{0,63}. Returns 0, or -EINVAL with what is wrong in `ret_reason`. */
_must_check_ int jobs_name_check(const char *name, Reason *ret_reason);

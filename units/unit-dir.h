/* SPDX-License-Identifier: MIT */
/* What a generator writes: drop-ins and links in the folder that the service manager gave it. */
#pragma once

#include "shell/base/cleanup.h"

/* The name of our drop-ins: behind the distribution's 10-defaults.conf of user-.slice, before an operator's
 * 90-*.conf. */
#define UNIT_DROP_IN "50-creel.conf"

/* Writes UNIT.d/50-creel.conf below `dir_fd`. Returns 0 or a negative errno. */
_must_check_ int unit_drop_in(int dir_fd, const char *unit, const char *text);

/* Makes `unit` start with `target`: TARGET.wants/UNIT -> `file`. Returns 0 or a negative errno. */
_must_check_ int unit_want(int dir_fd, const char *target, const char *unit, const char *file);

/* SPDX-License-Identifier: MIT */
/*
 * The rows of `Limits` (shell/bus/bus.h) for people and for programs: creel and creelctl show the same numbers in the
 * same words. The keeper gives plain text; what a row's numbers mean is told by its name, in one table (limit.c).
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <systemd/sd-bus.h>

/* As on the bus. Numbers are decimal digits; "max" is no limit, "?" cannot be told, "-" is nothing to count. */
typedef struct Limit {
	const char *name, *limit, *use, *origin;
} Limit;

/* One line for a person: what is used, of what, and where the limit came from. */
void limit_show_head(FILE *file);
void limit_show(FILE *file, const Limit *row);

/* "1.5G", "max", "12", "3.2s": one number of the row called `name`, as a person reads it. Returns `buffer`. */
const char *limit_number(const char *name, const char *number, char *buffer, size_t size);

/* An object: name, unit (bytes, bytes/s, usec, count, text), limit, used, origin. A limit of null means none. */
void limit_write(FILE *file, const Limit *row);

/* All rows of a reply to `Limits`: lines with a head, or a JSON array. Returns 0 or a negative errno. */
_must_check_ int limits_print(FILE *file, sd_bus_message *reply, bool json);

/*
 * Asks the keeper of `uid`; the caller unrefs the reply. Bounded in time. Returns 0, or a negative errno with the reason
 * in `why`.
 */
_must_check_ int limits_ask(uid_t uid, sd_bus_message **ret, char *why, size_t why_size);

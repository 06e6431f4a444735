/* SPDX-License-Identifier: MIT */
/* What rules were made from, to see later whether it is still the same. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct WatchRow {
	char *path;
	bool content; /* its change counts, and not only its replacement: a folder whose entries were read */
} WatchRow;

typedef struct Watch {
	WatchRow *rows;
	size_t n;
} Watch;

/* Returns 0 or -ENOMEM. */
_must_check_ int watch_add(Watch *watch, const char *path, bool content);

/* A number that changes when something of it did. One stat(2) a row; never fails. */
uint64_t watch_stamp(const Watch *watch);
void watch_done(Watch *watch);

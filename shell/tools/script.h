/* SPDX-License-Identifier: MIT */
/* The script that creel run is given, and the copy that it keeps. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>

#define SCRIPT_STDIN "-"

/* Reads `path`, or stdin for `-`: at most RUN_CODE_MAX bytes. Returns 0 or a negative errno (-E2BIG: it is longer). */
_must_check_ int script_read(const char *path, char **ret, size_t *ret_n);

/*
 * Keeps a copy of `path` in ~/workspace/scripts under its own name, of stdin under date and time; one that is there already
 * is not copied again, and another one of that name stays. Scripts for bash can be executed. Returns 0 with the copy's path
 * in `ret`, or a negative errno.
 */
_must_check_ int script_keep(const char *path, const char *language, const char *code, size_t n, char **ret);

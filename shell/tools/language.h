/* SPDX-License-Identifier: MIT */
/* Which language a script is in. Pure. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>

#define LANGUAGE_NAMES "python, javascript, typescript or bash"

/* Each returns the name that the keeper knows, or NULL. */
const char *language_of_name(const char *name);           /* what a person writes: python, py, js, ... */
const char *language_of_path(const char *path);           /* by its extension */
const char *language_of_code(const char *code, size_t n); /* by its first line, `#!` */

const char *language_extension(const char *language); /* ".py" */

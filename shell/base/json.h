/* SPDX-License-Identifier: MIT */
/* Writing JSON (RFC 8259) to a stream, for --json of the command lines. Reading JSON is not done here. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One string with its quotes. Control characters and those that change the direction of text are escaped; bytes that are no UTF-8 become U+FFFD. */
void json_quote(FILE *file, const char *s, size_t n);

/*
 * One member of an object: `"key":value`, behind a comma unless `*first`, which it clears.
 * json_text() writes null for NULL; json_number() writes null for UINT64_MAX ("no limit").
 */
void json_key(FILE *file, bool *first, const char *key);
void json_text(FILE *file, bool *first, const char *key, const char *value);
void json_number(FILE *file, bool *first, const char *key, uint64_t value);
void json_bool(FILE *file, bool *first, const char *key, bool value);

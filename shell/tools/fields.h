/* SPDX-License-Identifier: MIT */
/* The members of a JSON object, read into a structure by a table: what it may hold is data, and all else is refused by name. */
#pragma once

#include "shell/tools/jsontext.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum FieldType {
	FIELD_STRING,  /* const char *: no U+0000 in it */
	FIELD_TEXT,    /* FieldText: any string */
	FIELD_SESSION, /* const char *: a REPL's name */
	FIELD_STRINGS, /* char **: strings without U+0000, NULL behind the last; the array is the structure's to free() */
	FIELD_FLAG,    /* bool */
	FIELD_TIME,    /* uint64_t microseconds: a number of seconds, or text such as "500ms" */
	FIELD_SIZE,    /* uint64_t bytes: a number, or text such as "256M" */
	FIELD_CORES,   /* uint64_t microseconds a second: a number of cores, or text such as "0.5" */
	FIELD_COUNT,   /* uint64_t */
} FieldType;

typedef struct FieldText {
	const char *bytes;
	size_t n;
} FieldText;

/* One row. Rows end with name = NULL. */
typedef struct Field {
	const char *name;
	FieldType type;
	size_t offset; /* in the structure */
	bool required; /* null is the same as missing, for those that are not */
} Field;

/*
 * Fills what the object has; the rest of `ret` stays. Strings belong to `object`. Returns 0, -ENOMEM, or -EINVAL with a
 * sentence that names the member in `why`; arrays that were read are in `ret` also then.
 */
_must_check_ int fields_read(const json_t *object, const Field *fields, void *ret, char *why, size_t why_size);

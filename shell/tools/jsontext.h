/* SPDX-License-Identifier: MIT */
/* JSON that others wrote: one text, within bounds, with sentences about what is wrong with it. Pure. */
#pragma once

#include "shell/base/cleanup.h"

#include <jansson.h>
#include <stddef.h>

#define JSONTEXT_DEPTH_MAX 64U                 /* arrays and objects within one another */
#define JSONTEXT_BYTES_MAX (16U * 1024 * 1024) /* of one text; what reads lines has the same bound */

/*
 * Parses one text (RFC 8259, UTF-8, nothing behind it but blanks): an object or array, no key twice in an object.
 * Strings may hold U+0000. The caller unrefs. Returns 0, -ENOMEM, or -EINVAL with the reason in `why`.
 */
_must_check_ int jsontext_parse(const char *text, size_t n, json_t **ret, char *why, size_t why_size);

/* One line without its end, in new memory, or NULL when memory is out. */
_must_check_ char *jsontext_print(const json_t *value, size_t *ret_n);

/* A JSON string of `n` bytes: those that are no UTF-8 become U+FFFD. NULL when memory is out. */
_must_check_ json_t *jsontext_string(const char *bytes, size_t n);

#define _cleanup_json_ _cleanup_(json_decrefp) /* jansson.h has it */

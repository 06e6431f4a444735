/* SPDX-License-Identifier: MIT */
/* One value of a policy: from text, to text. Pure. */
#pragma once

#include "shell/policy/table.h"

/*
 * Parses `text` into the field of `key` in `policy`, replacing what was there.
 * Returns 0, -ENOMEM, or -EINVAL with the reason (and a hint) in `reason`; the field is then untouched.
 */
_must_check_ int value_parse(const PolicyKey *key, const char *text, Policy *policy, char *reason, size_t size);

/* The field in the file's notation, in new memory; what value_parse() takes. NULL when memory is out. */
_must_check_ char *value_format(const PolicyKey *key, const Policy *policy);

/* Frees what the field owns. */
void value_done(const PolicyKey *key, Policy *policy);

/* SPDX-License-Identifier: MIT */
/* Public keys as an operator hands them over: authorized_keys text (sshd(8)), checked before it is written.
 */
#pragma once

#include "shell/operator/operator.h"

#define KEYTEXT_MAX (64U * 1024) /* bytes */

/*
 * Every line must be a comment, empty, or "TYPE BASE64 [COMMENT]" with a type that can log in, whose encoded
 * blob says the same type; at least one key. Lines with options are refused in this version. `ret` is clean
 * text in new memory: keys only, one a line, a newline behind each. Returns 0, -EINVAL with `ret_reason`, or
 * -ENOMEM.
 */
_must_check_ int keytext_check(const char *text, size_t n, char **ret, Reason *ret_reason);

/* SPDX-License-Identifier: MIT */
/*
 * Secrets: small values that an agent keeps, encrypted, with its keeper, and that one command at a time gets as a variable of its
 * environment. What both ends agree on; creel-secret(1) has the files.
 *
 * The outcome of SetSecret and Secret comes by a pipe, when the other end is closed: one byte, SECRET_DONE or SECRET_FAILED, then the
 * value (of Secret), or a sentence that says why not. A pipe that ends without a byte is a failure, too.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>

#define SECRET_MAX (64U * 1024) /* bytes of a value; none of them is NUL, and it is not empty */
#define SECRETS_MAX 100U        /* of an agent */
#define SECRET_NAME_MAX 64U     /* bytes of a name */

#define SECRET_DONE '+'
#define SECRET_FAILED '-'

/* As variables are named: letters, digits and underscores, no digit first. Pure. */
bool secret_name_valid(const char *name);

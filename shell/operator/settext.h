/* SPDX-License-Identifier: MIT */
/* Changing one key in the text of a policy file, with comments and order as they were. Pure. */
#pragma once

#include "shell/base/cleanup.h"

/*
 * `text` with [section] key set to `value`, or without that key (`value` NULL), as new memory. A key that is there is
 * replaced where it stands, with the lines on which its value goes on; one that is not goes behind its section's last
 * one, or into a new section at the end. The text is one that policy_load() accepts. Returns 0 or -ENOMEM.
 */
_must_check_ int settext_change(const char *text, const char *section, const char *key, const char *value, char **ret);

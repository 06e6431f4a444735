/* SPDX-License-Identifier: MIT */
/* The types of public keys that can log in. Certificates are none: see docs/SECURITY.md. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#define KEY_TYPES 7U
extern const char *const key_types[KEY_TYPES];

/* `n` bytes that are the name of one of them. */
bool key_type_is_known(const char *name, size_t n);

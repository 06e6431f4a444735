/* SPDX-License-Identifier: MIT */
/* Capabilities that the keeper has, and uses for a moment only. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/* Puts them into effect, or out of it; those that are not permitted stay away (-EPERM). Returns 0 or a negative errno. */
_must_check_ int privilege_raise(uint64_t capabilities);
_must_check_ int privilege_lower(uint64_t capabilities);

/* Gives them up for good, but for the bounding set. */
_must_check_ int privilege_drop(uint64_t capabilities);

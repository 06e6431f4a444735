/* SPDX-License-Identifier: MIT */
/* Capabilities that the keeper has, and uses for a moment only. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

#include <linux/capability.h>

#define PRIVILEGE(capability) (UINT64_C(1) << (capability))

/*
 * For the surroundings of runs (shell/confine/view.h): namespaces and mounts, a loopback, the overlay of a home. In effect
 * in no other moment; setfsuid(2) back to 0 brings CAP_DAC_OVERRIDE into effect, so it is lowered again there.
 */
#define PRIVILEGE_SURROUNDINGS (PRIVILEGE(CAP_SYS_ADMIN) | PRIVILEGE(CAP_NET_ADMIN) | PRIVILEGE(CAP_DAC_OVERRIDE))

/* Puts them into effect, or out of it; those that are not permitted stay away (-EPERM). Returns 0 or a negative errno. */
_must_check_ int privilege_raise(uint64_t capabilities);
_must_check_ int privilege_lower(uint64_t capabilities);

/* Gives them up for good, but for the bounding set. */
_must_check_ int privilege_drop(uint64_t capabilities);

/* SPDX-License-Identifier: MIT */
/* The shelves of agents whose policy has an allowlist of packages: shell/policy/package.h says where they are. */
#pragma once

#include "shell/operator/operator.h"

/*
 * What somebody else's processes left in the folder `dir_fd` becomes root's, readable by `gid` and nobody else, without
 * any right to execute files. Nothing but folders and plain files with one name may be in it, at most 16 folders deep and
 * 200,000 in all. Nobody may be able to write there meanwhile but root.
 * Returns 0; -ELOOP for anything else in it; -E2BIG; another negative errno. Privilege: CAP_CHOWN, CAP_FOWNER, CAP_DAC_OVERRIDE.
 */
_must_check_ int packages_take(int dir_fd, gid_t gid);

/* Removes from the agent's shelf what its policy (NULL: no policy) allows no more. Returns 0 or a negative errno. */
_must_check_ int packages_prune(const char *name, const Policy *policy, Reason *ret_reason);

/* The policy has an allowlist whose shelf was not filled. */
bool packages_missing(const Policy *policy);

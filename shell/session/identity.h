/* SPDX-License-Identifier: MIT */
/* Who the agent is: passwd(5) and group(5) entries, and acting as the agent on file systems. */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>
#include <sys/types.h>

typedef struct Identity {
	uid_t uid;
	gid_t gid;
	gid_t *groups; /* supplementary, the primary included */
	size_t n_groups;
	char *name;
	char *home;
	char *shell;
} Identity;

/* Returns 0, -ENOENT (no such user), -EPERM (uid outside the agents' range), -ENOMEM, -EIO. */
_must_check_ int identity_load(uid_t uid, Identity **ret);

/* Accepts NULL. Returns NULL. */
Identity *identity_free(Identity *identity);
DEFINE_CLEANUP(Identity, identity_free)

/*
 * From begin to end, this process meets file systems as the agent: owner of what it makes, permissions of what it
 * opens (setfsuid(2): the kernel also takes the file capabilities out of the effective set meanwhile).
 * The supplementary groups stay the caller's: the keeper sets them to the agent's once, at its start.
 * Privilege: CAP_SETUID, CAP_SETGID. Context: single-threaded keeper. Nothing may return in between.
 * Returns 0, or -EPERM when the kernel did not switch: then nothing was borrowed.
 */
_must_check_ int identity_borrow(const Identity *identity);
void identity_give_back(void);

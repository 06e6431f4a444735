/* SPDX-License-Identifier: MIT */
/*
 * What a run sees that shall leave nothing behind: the machine's own tree, read-only; the agent's home with changes that go
 * to memory and are gone with the run; folders for temporary files of its own; no other agent's home, and none of the
 * sockets in /run. Only what it puts into the output folder stays.
 *
 * All of it is mounts in a mount namespace that nothing but the run is in. Nobody has to take them away: they end with the
 * last process of the namespace, however that and whoever made it ended.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>
#include <sys/types.h>

typedef struct View {
	uid_t uid;
	gid_t gid;
	const char *home; /* canonical */
	const char
		*output;  /* the output folder, absolute; made where it is missing, as the agent. NULL: nothing stays */
	uint64_t scratch; /* bytes for all that it writes elsewhere; they count as its memory, too */
} View;

/*
 * Context: child, after clone, in new mount, pid and ipc namespaces, as process 1 of its own; single-threaded, allocates
 * nothing. Makes a cgroup namespace as well. Privilege: uid 0 with CAP_SYS_ADMIN, CAP_SETUID and CAP_SETGID, the agent's
 * groups, and CAP_DAC_OVERRIDE permitted; keeps them. Paths that lead through folders of the agent's are opened as the agent, and without links.
 * Linux 5.12 (mount_setattr(2)). Returns 0, or a negative errno with the name of the step that failed: then the process
 * must end.
 */
_must_check_ int view_enter(const View *view, const char **ret_step);

/*
 * For a run that sees the files as they are, but not the network: covers the folders of sockets by which others would do
 * for it what it may not - the agent's user manager, screens, and the keeper. Sockets that the agent keeps elsewhere stay.
 * Context: child, in a new mount namespace. Privilege: CAP_SYS_ADMIN. Returns as view_enter() does.
 */
_must_check_ int view_close_doors(uid_t uid, const char **ret_step);

/*
 * Loopback of a new network namespace, which is all that this has. Context: child, in that namespace. Privilege:
 * CAP_NET_ADMIN. Returns 0 or a negative errno.
 */
_must_check_ int loopback_raise(void);

/* SPDX-License-Identifier: MIT */
/*
 * The listener's workers, and who of them must go when too many have not logged in.
 *
 * The bound is on connections without a login. While it is reached, new ones wait in the kernel's backlog. Only if some
 * wait there is anybody dropped: the oldest connection that keeps us waiting, of the source that holds the most. A
 * connection that is being worked for, however slowly, is never dropped: 200 honest ones at once take their turns.
 */
#pragma once

#include "sshd-sub/peer.h"

#include <stdbool.h>
#include <sys/types.h>

/* Silent since it connected: no SSH client does that. */
#define CHILD_SILENT_PATIENCE_MSEC 2000U
/* Spoke, and then kept us waiting: a person may type a passphrase, but not while others wait. */
#define CHILD_IDLE_PATIENCE_MSEC 8000U

typedef struct Child {
	struct Child *next;
	uint32_t id;
	pid_t pid;
	int connection_fd; /* kept until it logs in, to ask the kernel how long it has been waiting */
	bool admitted, dropped;
	PeerSource source;
	char peer[WIRE_PEER_MAX];
} Child;

typedef struct Children {
	Child *first, **end; /* in order of arrival */
	unsigned int unauthenticated;
	uint32_t last_id;
} Children;

void children_init(Children *children);

/* Takes `connection_fd` on success. Returns 0 or -ENOMEM. */
_must_check_ int children_add(Children *children, pid_t pid, int connection_fd, const char *peer,
		const PeerSource *source, uint32_t id);
/* The worker with that number logged in. */
void children_admit(Children *children, uint32_t id);
/* NULL: none of ours. */
Child *children_find(Children *children, pid_t pid);
void children_remove(Children *children, Child *child);

/* Whom to drop, or NULL. Marks it. */
Child *children_choose_victim(Children *children);

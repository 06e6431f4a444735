/* SPDX-License-Identifier: MIT */
/*
 * The listener's workers, and who of them must go when too many have not logged in.
 *
 * The bound is on connections without a login. While it is reached, new ones wait (waiting.h). Only if some wait is
 * anybody dropped: the oldest connection that keeps us waiting, of the source that holds the most; and when somebody waits
 * whose source holds less than that one does, also one that is being worked for, once it had time enough for a login.
 * Within one source that never happens: 200 honest connections at once take their turns, however slow we are.
 */
#pragma once

#include "sshd-sub/sources.h"

#include <stdbool.h>
#include <sys/types.h>

/* Silent since it connected: no SSH client does that. */
#define CHILD_SILENT_PATIENCE_MSEC 2000U
/* Spoke, and then kept us waiting: a person may type a passphrase, but not while others wait. */
#define CHILD_IDLE_PATIENCE_MSEC 8000U

/* Time enough, while others who hold less wait: much less or so many that the waiting room fills, or just less. */
#define CHILD_TURN_USEC (3U * 1000U * 1000U)
#define CHILD_LONG_TURN_USEC (8U * 1000U * 1000U)

typedef struct Child {
	struct Child *next;
	uint32_t id;
	pid_t pid;
	int connection_fd; /* kept until it logs in, to ask the kernel how long it has been waiting */
	bool admitted;
	bool overdue;        /* when that was last looked at */
	Source *source;      /* counts as served there; NULL: no more */
	uint64_t since_usec; /* CLOCK_MONOTONIC */
	char peer[WIRE_PEER_MAX];
} Child;

typedef struct Children {
	Sources *sources;
	Child *first, **end; /* in order of arrival */
	unsigned int unauthenticated;
	uint32_t last_id;
} Children;

/* `sources` stays the caller's. */
void children_init(Children *children, Sources *sources);

/* Takes `connection_fd` on success. Returns 0 or -ENOMEM. */
_must_check_ int children_add(
	Children *children, pid_t pid, int connection_fd, const char *peer, Source *source, uint32_t id);
/* The worker with that number logged in. */
void children_admit(Children *children, uint32_t id);
/* NULL: none of ours. */
Child *children_find(Children *children, pid_t pid);
void children_remove(Children *children, Child *child);

/*
 * Whom to drop for one of source `waiting`: at most `n` into `ret`, those of whom there are most first. Marks them.
 * `crowded`: the room is. Returns how many.
 */
size_t children_choose_victims(
	Children *children, const Source *waiting, bool crowded, uint64_t now_usec, Child **ret, size_t n);

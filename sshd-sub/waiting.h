/* SPDX-License-Identifier: MIT */
/*
 * Connections that were accepted while as many as may be had not logged in: they wait here, not in the kernel's queue,
 * because only who was accepted is known by its source. Whose turn it is: that of the source that is served least, and of
 * its connections the first. So a thousand connections of one source delay the single one of another by none of them.
 */
#pragma once

#include "sshd-sub/children.h"

#define WAITING_MAX 1024U
#define WAITING_USEC (120U * 1000U * 1000U) /* no client waits for longer */

typedef struct Waiting {
	struct Waiting *next;
	int fd;
	struct sockaddr_storage remote;
	PeerSource source;
	uint64_t since_usec; /* CLOCK_MONOTONIC */
} Waiting;

typedef struct Room {
	Waiting *first, **end; /* in order of arrival */
	unsigned int n;
} Room;

void room_init(Room *room);

/*
 * Takes `fd` on success. When the room is full, the last of the source that has most in it is closed for the new one.
 * Returns 0 or a negative errno.
 */
_must_check_ int room_add(Room *room, int fd, const struct sockaddr_storage *remote, const PeerSource *source);
/* Whose turn it is, or NULL; it stays in the room. */
Waiting *room_next(const Room *room, const Children *children);
/* Takes it out. The caller frees it, and closes its descriptor if it is still there. */
void room_take(Room *room, Waiting *waiting);
Waiting *waiting_free(Waiting *waiting);
DEFINE_CLEANUP(Waiting, waiting_free)
/* Closes those who came before that time. */
void room_close_older(Room *room, uint64_t since_usec);

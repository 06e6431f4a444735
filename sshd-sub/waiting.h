/* SPDX-License-Identifier: MIT */
/*
 * Connections that were accepted while as many as may be had not logged in: they wait here, not in the kernel's queue,
 * because only who was accepted is known by its source. Whose turn it is: that of the source that is served least
 * (sources.h), and of its connections the first. So a thousand connections of one source delay the single one of another
 * by none of them.
 */
#pragma once

#include "sshd-sub/sources.h"

#define WAITING_TURNS 16U /* as many wait as have their turn after so many of the longest: under a minute */
#define WAITING_MAX 1024U
#define WAITING_USEC (120U * 1000U * 1000U) /* no client waits for longer */

typedef struct Waiting {
	TAILQ_ENTRY(Waiting) room_link, source_link;
	int fd;
	struct sockaddr_storage remote;
	Source *source;
	uint64_t since_usec; /* CLOCK_MONOTONIC */
} Waiting;

typedef struct Room {
	Sources *sources;
	struct WaitingList waiting; /* in order of arrival */
	unsigned int n, most;
	uint64_t refused; /* in all, because it was full */
} Room;

/* `places`: how many are served at a time. `sources` stays the caller's. */
void room_init(Room *room, Sources *sources, unsigned int places);

/*
 * Takes `fd` on success. When the room is full, the newest of the source that has most is closed: perhaps this one.
 * Returns 0 or a negative errno.
 */
_must_check_ int room_add(Room *room, int fd, const struct sockaddr_storage *remote, uint64_t now_usec);
/* Whose turn it is, or NULL; it stays in the room. */
Waiting *room_next(const Room *room);
/* Takes it out and frees it; closes its descriptor if it is still there. */
void room_remove(Room *room, Waiting *waiting, uint64_t now_usec);
/* Closes those who came before that time. */
void room_close_older(Room *room, uint64_t since_usec, uint64_t now_usec);
/* Is it so full that those who are served must make haste? */
static inline bool room_is_crowded(const Room *room)
{
	return room->n > room->most / 2;
}

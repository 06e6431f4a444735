/* SPDX-License-Identifier: MIT */
#include "sshd-sub/waiting.h"

void room_init(Room *room, Sources *sources, unsigned int places)
{
	*room = (Room){
		.sources = sources,
		.most = places < WAITING_MAX / WAITING_TURNS ? places * WAITING_TURNS : WAITING_MAX,
	};
	TAILQ_INIT(&room->waiting);
}

void room_remove(Room *room, Waiting *waiting, uint64_t now_usec)
{
	TAILQ_REMOVE(&room->waiting, waiting, room_link);
	TAILQ_REMOVE(&waiting->source->connections, waiting, source_link);
	room->n--;
	source_note(room->sources, waiting->source, SOURCE_TAKEN, now_usec);
	fd_close(waiting->fd);
	free(waiting);
}

static void room_refuse_one(Room *room, uint64_t now_usec)
{
	Source *most = sources_most(room->sources);

	source_note(room->sources, most, SOURCE_REFUSED, now_usec);
	room_remove(room, TAILQ_LAST(&most->connections, WaitingList), now_usec);
	room->refused++;
}

int room_add(Room *room, int fd, const struct sockaddr_storage *remote, uint64_t now_usec)
{
	_cleanup_free_ Waiting *waiting = calloc(1, sizeof(*waiting));
	Waiting *added;
	PeerSource key;
	Source *source;
	int r;

	if (!waiting)
		return -ENOMEM;
	r = peer_source(remote, &key);
	if (r >= 0)
		r = sources_find(room->sources, &key, now_usec, &source);
	if (r < 0)
		return r;
	added = TAKE_PTR(waiting);
	added->fd = fd;
	added->remote = *remote;
	added->source = source;
	added->since_usec = now_usec;
	TAILQ_INSERT_TAIL(&room->waiting, added, room_link);
	TAILQ_INSERT_TAIL(&source->connections, added, source_link);
	source_note(room->sources, source, SOURCE_ARRIVED, now_usec);
	if (++room->n > room->most)
		room_refuse_one(room, now_usec);
	return 0;
}

Waiting *room_next(const Room *room)
{
	Source *source = sources_next(room->sources);

	return source ? TAILQ_FIRST(&source->connections) : NULL;
}

void room_close_older(Room *room, uint64_t since_usec, uint64_t now_usec)
{
	Waiting *first;

	while ((first = TAILQ_FIRST(&room->waiting)) && first->since_usec < since_usec)
		room_remove(room, first, now_usec);
}

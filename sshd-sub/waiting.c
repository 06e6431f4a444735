/* SPDX-License-Identifier: MIT */
#include "sshd-sub/waiting.h"
#include "shell/base/rate.h"

#include <string.h>

void room_init(Room *room)
{
	*room = (Room){ 0 };
	room->end = &room->first;
}

Waiting *waiting_free(Waiting *waiting)
{
	if (waiting) {
		fd_close(waiting->fd);
		free(waiting);
	}
	return NULL;
}

void room_take(Room *room, Waiting *waiting)
{
	Waiting **link = &room->first;

	while (*link != waiting)
		link = &(*link)->next;
	*link = waiting->next;
	if (room->end == &waiting->next)
		room->end = link;
	waiting->next = NULL;
	room->n--;
}

static bool same_source(const PeerSource *a, const PeerSource *b)
{
	return memcmp(a, b, sizeof(*a)) == 0;
}

static void room_drop_one(Room *room)
{
	Waiting *victim = NULL;
	unsigned int most = 0;

	for (const Waiting *w = room->first; w; w = w->next) {
		unsigned int n = 0;

		for (const Waiting *other = room->first; other; other = other->next)
			n += same_source(&w->source, &other->source);
		if (n <= most)
			continue;
		most = n;
		for (Waiting *other = room->first; other; other = other->next)
			if (same_source(&w->source, &other->source))
				victim = other;
		if (most > room->n / 2)
			break; /* nobody has more */
	}
	if (victim) {
		room_take(room, victim);
		waiting_free(victim);
	}
}

int room_add(Room *room, int fd, const struct sockaddr_storage *remote, const PeerSource *source)
{
	Waiting *waiting = calloc(1, sizeof(*waiting));

	if (!waiting)
		return -ENOMEM;
	*waiting = (Waiting){ .fd = fd, .remote = *remote, .source = *source, .since_usec = clock_monotonic_usec() };
	*room->end = waiting;
	room->end = &waiting->next;
	room->n++;
	if (room->n > WAITING_MAX)
		room_drop_one(room);
	return 0;
}

Waiting *room_next(const Room *room, const Children *children)
{
	unsigned int least = UINT32_MAX;
	Waiting *next = NULL;
	const Waiting *last = NULL;

	for (Waiting *w = room->first; w && least; w = w->next) {
		unsigned int n;

		if (last && same_source(&w->source, &last->source))
			continue; /* the usual case: many of one source in a row */
		last = w;
		n = children_count_source(children, &w->source);
		if (n < least) {
			least = n;
			next = w;
		}
	}
	return next;
}

void room_close_older(Room *room, uint64_t since_usec)
{
	while (room->first && room->first->since_usec < since_usec) {
		Waiting *old = room->first;

		room_take(room, old);
		waiting_free(old);
	}
}

/* SPDX-License-Identifier: MIT */
/*
 * Who holds how much, by source. Two levels, so that nobody is many by having many addresses: a source (an IPv4 address,
 * or an IPv6 /64) belongs to a group (that address, or the /48), groups share evenly, and within a group its sources do.
 *
 * A source that used up a place without logging in, or was refused, is remembered for some minutes: who comes for the first
 * time goes before those who had their turn, however many they are. What is remembered is bounded.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "sshd-sub/heap.h"
#include "sshd-sub/peer.h"

#include <sys/queue.h>

#define SOURCES_BUCKETS 1024U
#define SOURCES_IDLE_MAX 4096U                       /* sources that are only remembered */
#define SOURCES_HALF_LIFE_USEC (60U * 1000U * 1000U) /* of what is remembered */
#define SOURCES_REMEMBERED_MAX 255U                  /* of each kind, for one source */

struct Waiting; /* waiting.h */
TAILQ_HEAD(WaitingList, Waiting);

typedef struct Source {
	PeerSource key;
	struct Source *above; /* a source's group; a group's whole, which has nothing above it */
	unsigned int waiting, serving;
	/* private */
	unsigned int members, turns, refusals; /* the last two: not long ago, each half of it forgotten after a while */
	uint64_t aged_usec;
	uint64_t turn_order, arrival_order;
	bool queued, idle;
	HeapNode by_turn, by_drop; /* in what is above, while any of it waits */
	Heap turns_below, drops_below;
	struct WaitingList connections; /* of a source, in order of arrival */
	LIST_ENTRY(Source) bucket;
	TAILQ_ENTRY(Source) idle_link;
} Source;

typedef struct Sources {
	Source all;
	LIST_HEAD(, Source) buckets[SOURCES_BUCKETS];
	TAILQ_HEAD(, Source) idle; /* who rested for longest first */
	unsigned int n_idle, n;
	uint64_t order, seeds[2];
} Sources;

typedef enum SourceEvent {
	SOURCE_ARRIVED, /* one more waits */
	SOURCE_TAKEN,   /* one less waits */
	SOURCE_REFUSED, /* one that waits will not be served */
	SOURCE_SERVED,  /* one more has a place */
	SOURCE_ENTERED, /* one has a place no more: it logged in */
	SOURCE_USED_UP, /* likewise, and it did not */
} SourceEvent;

/* Returns 0 or a negative errno of getrandom(2). */
_must_check_ int sources_init(Sources *sources);

/* The entry of a source, found or made; it stays as long as any of it waits or has a place. Returns 0 or -ENOMEM. */
_must_check_ int sources_find(Sources *sources, const PeerSource *key, uint64_t now_usec, Source **ret);
/* Counts. After one that leaves neither waiting nor places, `source` may be gone. O(log n). */
void source_note(Sources *sources, Source *source, SourceEvent event, uint64_t now_usec);

/* The source whose turn it is: the one with least of the group with least. NULL: nobody waits. O(1). */
Source *sources_next(const Sources *sources);
/* The source that must give up what waits: the one with most of the group with most; of equals the newest. */
Source *sources_most(const Sources *sources);

/* SPDX-License-Identifier: MIT */
/*
 * Two orders among those who wait. Whose turn it is: places held now and used up lately, the fewest first; of equals who
 * was not served for longest. Who must go when there are too many: that and what waits and was refused lately, the most
 * first; of equals who came last, so that nobody who waits is pushed out by newer ones that have no better claim.
 * Refusals do not delay a turn: an honest client that tries again is no worse off than one that waits.
 */
#include "sshd-sub/sources.h"

#include <string.h>
#include <sys/random.h>

static unsigned int source_load(const Source *source)
{
	return source->serving + source->turns;
}

static unsigned int source_weight(const Source *source)
{
	return source_load(source) + source->waiting + source->refusals;
}

static bool turn_comes_first(const HeapNode *a, const HeapNode *b)
{
	const Source *x = HEAP_ENTRY(a, Source, by_turn), *y = HEAP_ENTRY(b, Source, by_turn);

	if (source_load(x) != source_load(y))
		return source_load(x) < source_load(y);
	return x->turn_order < y->turn_order;
}

static bool is_dropped_first(const HeapNode *a, const HeapNode *b)
{
	const Source *x = HEAP_ENTRY(a, Source, by_drop), *y = HEAP_ENTRY(b, Source, by_drop);

	if (source_weight(x) != source_weight(y))
		return source_weight(x) > source_weight(y);
	return x->arrival_order > y->arrival_order;
}

int sources_init(Sources *sources)
{
	*sources = (Sources){ 0 };
	TAILQ_INIT(&sources->idle);
	sources->all.turns_below.order = turn_comes_first;
	sources->all.drops_below.order = is_dropped_first;
	/* so that nobody can choose addresses that meet in one bucket */
	if (getrandom(sources->seeds, sizeof(sources->seeds), 0) != sizeof(sources->seeds))
		return errno ? -errno : -EIO;
	return 0;
}

static unsigned int bucket_of(const Sources *sources, const PeerSource *key, bool is_group)
{
	uint64_t halves[2], hash;

	memcpy(halves, key->bytes, sizeof(halves));
	hash = (halves[0] ^ sources->seeds[0]) * UINT64_C(0x9e3779b97f4a7c15);
	hash = (hash ^ hash >> 29 ^ halves[1] ^ sources->seeds[1] ^ is_group) * UINT64_C(0xbf58476d1ce4e5b9);
	return (unsigned int)((hash ^ hash >> 32) % SOURCES_BUCKETS);
}

/* `above` says which level is meant: one address can be both, its own group and a source in it. */
static Source *sources_search(const Sources *sources, const PeerSource *key, const Source *above)
{
	Source *source;

	LIST_FOREACH(source, &sources->buckets[bucket_of(sources, key, above == &sources->all)], bucket)
	if (source->above == above && memcmp(&source->key, key, sizeof(*key)) == 0)
		return source;
	return NULL;
}

static Source *source_new(Sources *sources, const PeerSource *key, Source *above, uint64_t now_usec)
{
	Source *source = calloc(1, sizeof(*source));

	if (!source)
		return NULL;
	source->key = *key;
	source->above = above;
	source->aged_usec = now_usec;
	source->turns_below.order = turn_comes_first;
	source->drops_below.order = is_dropped_first;
	TAILQ_INIT(&source->connections);
	LIST_INSERT_HEAD(&sources->buckets[bucket_of(sources, key, above == &sources->all)], source, bucket);
	above->members++;
	sources->n++;
	return source;
}

/* Nothing of it waits or has a place. A group goes with its last source. */
static void source_free(Sources *sources, Source *source)
{
	Source *above = source->above;

	if (source->idle) {
		TAILQ_REMOVE(&sources->idle, source, idle_link);
		sources->n_idle--;
	}
	LIST_REMOVE(source, bucket);
	above->members--;
	sources->n--;
	free(source);
	if (above->above && !above->members)
		source_free(sources, above);
}

static void source_age(Source *source, uint64_t now_usec)
{
	uint64_t halves = (now_usec - source->aged_usec) / SOURCES_HALF_LIFE_USEC;

	if (!halves)
		return;
	source->aged_usec += halves * SOURCES_HALF_LIFE_USEC;
	source->turns = halves < 32 ? source->turns >> halves : 0;
	source->refusals = halves < 32 ? source->refusals >> halves : 0;
}

static bool source_is_forgotten(const Source *source)
{
	return !source->turns && !source->refusals;
}

/* Puts it among those who rest, or takes it out; frees whom nothing is remembered of, and the oldest when there are many. */
static void source_settle(Sources *sources, Source *source)
{
	if (source->idle) {
		TAILQ_REMOVE(&sources->idle, source, idle_link);
		sources->n_idle--;
		source->idle = false;
	}
	if (source->waiting || source->serving)
		return;
	if (source_is_forgotten(source)) {
		source_free(sources, source);
		return;
	}
	TAILQ_INSERT_TAIL(&sources->idle, source, idle_link);
	source->idle = true;
	if (++sources->n_idle > SOURCES_IDLE_MAX)
		source_free(sources, TAILQ_FIRST(&sources->idle));
}

int sources_find(Sources *sources, const PeerSource *key, uint64_t now_usec, Source **ret)
{
	PeerSource group_key = peer_group(key);
	Source *group, *source, *oldest;

	/* two for each that may come: so what is long over goes */
	for (int i = 0; i < 2 && (oldest = TAILQ_FIRST(&sources->idle)); i++) {
		source_age(oldest, now_usec);
		if (!source_is_forgotten(oldest))
			break;
		source_free(sources, oldest);
	}
	group = sources_search(sources, &group_key, &sources->all);
	if (!group)
		group = source_new(sources, &group_key, &sources->all, now_usec);
	if (!group)
		return -ENOMEM;
	source = sources_search(sources, key, group);
	if (!source)
		source = source_new(sources, key, group, now_usec);
	if (!source) {
		if (!group->members)
			source_free(sources, group);
		return -ENOMEM;
	}
	*ret = source;
	return 0;
}

static void remember(unsigned int *count)
{
	if (*count < SOURCES_REMEMBERED_MAX)
		++*count;
}

static void source_count(Sources *sources, Source *source, SourceEvent event)
{
	switch (event) {
	case SOURCE_ARRIVED:
		source->arrival_order = ++sources->order;
		if (!source->waiting++)
			source->turn_order = sources->order;
		break;
	case SOURCE_TAKEN:
		source->waiting--;
		break;
	case SOURCE_REFUSED:
		remember(&source->refusals);
		break;
	case SOURCE_SERVED:
		source->serving++;
		source->turn_order = ++sources->order;
		break;
	case SOURCE_ENTERED:
		source->serving--;
		break;
	case SOURCE_USED_UP:
		source->serving--;
		remember(&source->turns);
		break;
	}
}

void source_note(Sources *sources, Source *source, SourceEvent event, uint64_t now_usec)
{
	for (Source *level = source; level->above; level = level->above) {
		if (level->queued) {
			heap_remove(&level->above->turns_below, &level->by_turn);
			heap_remove(&level->above->drops_below, &level->by_drop);
		}
		source_age(level, now_usec);
		source_count(sources, level, event);
		level->queued = level->waiting > 0;
		if (level->queued) {
			heap_insert(&level->above->turns_below, &level->by_turn);
			heap_insert(&level->above->drops_below, &level->by_drop);
		}
	}
	source_settle(sources, source);
}

Source *sources_next(const Sources *sources)
{
	const HeapNode *group = sources->all.turns_below.root;

	return group ? HEAP_ENTRY(HEAP_ENTRY(group, Source, by_turn)->turns_below.root, Source, by_turn) : NULL;
}

Source *sources_most(const Sources *sources)
{
	const HeapNode *group = sources->all.drops_below.root;

	return group ? HEAP_ENTRY(HEAP_ENTRY(group, Source, by_drop)->drops_below.root, Source, by_drop) : NULL;
}

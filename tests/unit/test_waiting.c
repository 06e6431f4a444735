/* SPDX-License-Identifier: MIT */
/* Who waits, whose turn it is, and who must go: by a clock of the tests' own. */
#include "tests/unit/unit.h"

#include "shell/base/rate.h"
#include "sshd-sub/children.h"
#include "sshd-sub/waiting.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000)

static Sources sources;
static Room room;
static Children children;
static uint64_t now_usec;

/* What the code under test asks for is what the tests say, so that sources age by both alike. */
uint64_t clock_monotonic_usec(void)
{
	return now_usec;
}

static struct sockaddr_storage ipv4(uint32_t host)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;

	in->sin_family = AF_INET;
	in->sin_addr.s_addr = htonl(host);
	return storage;
}

/* The n-th /64 of the m-th /48. */
static struct sockaddr_storage ipv6(uint16_t m, uint16_t n)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&storage;

	in6->sin6_family = AF_INET6;
	in6->sin6_addr = (struct in6_addr){ .s6_addr = { 0x20, 0x01, 0x0d, 0xb8, (uint8_t)(m >> 8), (uint8_t)m,
						    (uint8_t)(n >> 8), (uint8_t)n, [15] = 1 } };
	return storage;
}

static void begin(unsigned int places)
{
	now_usec = 1000 * SECOND;
	assert_int_equal(sources_init(&sources), 0);
	room_init(&room, &sources, places);
	children_init(&children, &sources);
}

static void arrive(struct sockaddr_storage from)
{
	assert_int_equal(room_add(&room, -EBADF, &from, now_usec), 0);
}

static unsigned int waiting_of(struct sockaddr_storage from)
{
	const Waiting *waiting;
	unsigned int n = 0;

	TAILQ_FOREACH(waiting, &room.waiting, room_link)
	n += memcmp(&waiting->remote, &from, sizeof(from)) == 0;
	return n;
}

static bool is_next(struct sockaddr_storage from)
{
	const Waiting *next = room_next(&room);

	return next && memcmp(&next->remote, &from, sizeof(from)) == 0;
}

/* The next one gets a place; `pid` names it. */
static void serve(pid_t pid)
{
	Waiting *waiting = room_next(&room);

	assert_int_equal(children_add(&children, pid, -EBADF, "", waiting->source, (uint32_t)pid), 0);
	room_remove(&room, waiting, now_usec);
}

static void leave(pid_t pid)
{
	children_remove(&children, children_find(&children, pid));
}

static void end(void)
{
	while (children.first)
		children_remove(&children, children.first);
	room_close_older(&room, UINT64_MAX, now_usec);
	assert_null(room_next(&room));
	/* in time all is forgotten: each arrival frees two, if there are */
	now_usec += 3600 * SECOND;
	for (unsigned int i = 0; sources.n_idle && i <= SOURCES_IDLE_MAX; i++) {
		arrive(ipv4(1));
		room_close_older(&room, UINT64_MAX, now_usec);
	}
	assert_int_equal(sources.n, 0);
	assert_int_equal(sources.n_idle, 0);
}

static void test_turns_go_round(void **state)
{
	begin(4);
	for (int i = 0; i < 5; i++)
		arrive(ipv4(1));
	arrive(ipv4(2));
	arrive(ipv4(3));
	assert_true(is_next(ipv4(1)));
	serve(1);
	assert_true(is_next(ipv4(2)));
	serve(2);
	assert_true(is_next(ipv4(3)));
	serve(3);
	assert_true(is_next(ipv4(1)));
	end();
}

static void test_who_had_a_turn_goes_after_who_had_none(void **state)
{
	begin(4);
	arrive(ipv4(1));
	serve(1);
	leave(1); /* without having logged in */
	arrive(ipv4(1));
	arrive(ipv4(2));
	assert_true(is_next(ipv4(2)));
	serve(2);
	children_admit(&children, 2); /* a login costs nothing */
	arrive(ipv4(2));
	assert_true(is_next(ipv4(2)));
	serve(3);
	assert_true(is_next(ipv4(1)));
	end();
}

static void test_what_was_is_forgotten(void **state)
{
	begin(4);
	arrive(ipv4(1));
	serve(1);
	leave(1);
	now_usec += 2 * SOURCES_HALF_LIFE_USEC;
	arrive(ipv4(1));
	arrive(ipv4(2));
	assert_true(is_next(ipv4(1)));
	end();
}

/* The newest of the source with most gives way, and nobody else. */
static void test_the_most_give_way(void **state)
{
	begin(1); /* 16 wait */
	arrive(ipv4(2));
	for (int i = 0; i < 40; i++)
		arrive(ipv4(1));
	arrive(ipv4(3));
	assert_int_equal(room.n, 16);
	assert_int_equal(waiting_of(ipv4(1)), 14);
	assert_int_equal(waiting_of(ipv4(2)), 1);
	assert_int_equal(waiting_of(ipv4(3)), 1);
	assert_int_equal(room.refused, 26);
	end();
}

/* More sources than there are places and room: those who wait longest stay, whoever comes. */
static void test_many_sources_flush_nobody(void **state)
{
	begin(1);
	for (uint32_t i = 1; i <= 16; i++)
		arrive(ipv4(i));
	for (uint32_t i = 100; i < 10100; i++)
		arrive(ipv4(i));
	for (uint32_t i = 1; i <= 16; i++)
		assert_int_equal(waiting_of(ipv4(i)), 1);
	end();
}

/*
 * An attacker with more sources than places and room, each of which comes back at once when it is closed; an honest client
 * that tries once a round.
 */
static void test_an_honest_source_gets_in_among_many(void **state)
{
	enum { PLACES = 4, SOURCES = 200 };
	uint32_t honest = 9999;
	unsigned int rounds = 0;
	pid_t last = 0, first = 1;
	bool in = false;

	begin(PLACES);
	for (uint32_t i = 0; i < SOURCES; i++)
		arrive(ipv4(i + 1));
	for (int i = 0; i < PLACES; i++)
		serve(++last);
	while (!in) {
		assert_true(++rounds < SOURCES);
		now_usec += SECOND / 2;
		leave(first++);
		in = is_next(ipv4(honest));
		serve(++last);
		/* all that were closed are back before the honest one tries */
		for (uint32_t i = 0; i < SOURCES; i++)
			if (!waiting_of(ipv4(i + 1)))
				arrive(ipv4(i + 1));
		if (!waiting_of(ipv4(honest)))
			arrive(ipv4(honest));
		assert_int_equal(room.n, PLACES * WAITING_TURNS);
	}
	/* as many turns as could wait before it, and some for the tries that were refused */
	assert_true(rounds <= PLACES * (WAITING_TURNS + 4));
	end();
}

/* 65536 networks of one customer are one group: they wait, and are served, as one. */
static void test_a_48_is_one(void **state)
{
	begin(2); /* 32 wait */
	for (unsigned int i = 0; i < 65536; i++)
		arrive(ipv6(1, (uint16_t)i));
	assert_int_equal(room.n, 32);
	arrive(ipv6(2, 1));
	arrive(ipv4(1));
	assert_int_equal(waiting_of(ipv6(2, 1)), 1);
	assert_int_equal(waiting_of(ipv4(1)), 1);
	serve(1); /* of the first /48 */
	assert_true(is_next(ipv6(2, 1)));
	serve(2);
	assert_true(is_next(ipv4(1)));
	serve(3);
	assert_false(is_next(ipv6(1, 0)));
	end();
}

static size_t victims_for(struct sockaddr_storage from, bool crowded, pid_t pids[static 4])
{
	const Waiting *waiting;
	Child *victims[4];
	size_t n = 0;

	TAILQ_FOREACH(waiting, &room.waiting, room_link)
	if (memcmp(&waiting->remote, &from, sizeof(from)) == 0)
		break;
	assert_non_null(waiting);
	n = children_choose_victims(&children, waiting->source, crowded, now_usec, victims, 4);
	for (size_t i = 0; i < n; i++)
		pids[i] = victims[i]->pid;
	return n;
}

static void test_places_are_given_up(void **state)
{
	pid_t pids[4];

	begin(4);
	for (uint16_t i = 1; i <= 3; i++) {
		arrive(ipv6(1, i));
		serve(i);
	}
	arrive(ipv4(1));
	serve(4);
	arrive(ipv6(1, 9));
	arrive(ipv4(2));
	assert_int_equal(victims_for(ipv4(2), false, pids), 0); /* they have just begun */
	now_usec += CHILD_TURN_USEC;
	assert_int_equal(victims_for(ipv6(1, 9), false, pids), 0); /* one against none, inside of one group */
	/* three against none: the oldest two; then one is left on each side */
	assert_int_equal(victims_for(ipv4(2), false, pids), 2);
	assert_int_equal(pids[0], 1);
	assert_int_equal(pids[1], 2);
	/* haste */
	assert_int_equal(victims_for(ipv4(2), true, pids), 2);
	assert_int_equal(pids[0], 3);
	assert_int_equal(pids[1], 4);
	end();
}

static void test_nobody_of_the_same_source_is_given_up(void **state)
{
	pid_t pids[4];

	begin(2);
	for (int i = 0; i < 3; i++)
		arrive(ipv4(1));
	serve(1);
	serve(2);
	now_usec += 60 * SECOND;
	assert_int_equal(victims_for(ipv4(1), true, pids), 0);
	end();
}

/* What is remembered is bounded, whatever comes. */
static void test_memory_is_bounded(void **state)
{
	begin(1);
	for (uint32_t i = 1; i <= 3 * SOURCES_IDLE_MAX; i++) {
		arrive(i % 2 ? ipv4(i) : ipv6((uint16_t)i, (uint16_t)(i >> 3)));
		serve((pid_t)i);
		leave((pid_t)i);
	}
	assert_int_equal(sources.n_idle, SOURCES_IDLE_MAX);
	assert_true(sources.n <= 2 * SOURCES_IDLE_MAX);
	end();
}

static double seconds_for(unsigned int places, uint32_t n)
{
	struct timespec before, after;

	begin(places);
	for (uint32_t i = 1; i <= room.most; i++)
		arrive(ipv4(i));
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &before), 0);
	for (uint32_t i = 0; i < n; i++)
		arrive(ipv4(100000 + i % 3000));
	assert_int_equal(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &after), 0);
	end();
	return (double)(after.tv_sec - before.tv_sec) + (double)(after.tv_nsec - before.tv_nsec) / 1e9;
}

/* 64 times as many wait: an arrival costs no 64 times as much, as it would if each were looked at. */
static void test_an_arrival_costs_no_walk(void **state)
{
	double few, many;

	(void)seconds_for(1, 20000);
	few = seconds_for(1, 20000);
	many = seconds_for(64, 20000);
	assert_true(many < 16 * few);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_turns_go_round),
		cmocka_unit_test(test_who_had_a_turn_goes_after_who_had_none),
		cmocka_unit_test(test_what_was_is_forgotten),
		cmocka_unit_test(test_the_most_give_way),
		cmocka_unit_test(test_many_sources_flush_nobody),
		cmocka_unit_test(test_an_honest_source_gets_in_among_many),
		cmocka_unit_test(test_a_48_is_one),
		cmocka_unit_test(test_places_are_given_up),
		cmocka_unit_test(test_nobody_of_the_same_source_is_given_up),
		cmocka_unit_test(test_memory_is_bounded),
		cmocka_unit_test(test_an_arrival_costs_no_walk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "sshd-sub/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

static struct sockaddr_storage ipv4(const char *text, uint16_t port)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&storage;

	in->sin_family = AF_INET;
	in->sin_port = htons(port);
	assert_int_equal(inet_pton(AF_INET, text, &in->sin_addr), 1);
	return storage;
}

static struct sockaddr_storage ipv6(const char *text, uint16_t port)
{
	struct sockaddr_storage storage = { 0 };
	struct sockaddr_in6 *in = (struct sockaddr_in6 *)&storage;

	in->sin6_family = AF_INET6;
	in->sin6_port = htons(port);
	assert_int_equal(inet_pton(AF_INET6, text, &in->sin6_addr), 1);
	return storage;
}

static void check(struct sockaddr_storage remote, struct sockaddr_storage local, const char *expected, PeerSource *ret)
{
	char text[WIRE_PEER_MAX];

	assert_int_equal(peer_describe(&remote, &local, text), 0);
	assert_string_equal(text, expected);
	assert_int_equal(peer_source(&remote, ret), 0);
}

static void test_texts_and_sources(void **state)
{
	PeerSource a, b, c;

	check(ipv4("192.0.2.7", 40000), ipv4("192.0.2.1", 22), "192.0.2.7 40000 192.0.2.1 22", &a);
	check(ipv6("::ffff:192.0.2.7", 65535), ipv6("::ffff:192.0.2.1", 22), "192.0.2.7 65535 192.0.2.1 22", &b);
	assert_memory_equal(&a, &b, sizeof(a));
	check(ipv4("192.0.2.8", 40000), ipv4("192.0.2.1", 22), "192.0.2.8 40000 192.0.2.1 22", &b);
	assert_memory_not_equal(&a, &b, sizeof(a));

	check(ipv6("2001:db8::1", 1), ipv6("2001:db8::2", 22), "2001:db8::1 1 2001:db8::2 22", &a);
	check(ipv6("2001:db8::ffff:1", 1), ipv6("2001:db8::2", 22), "2001:db8::ffff:1 1 2001:db8::2 22", &b);
	check(ipv6("2001:db8:0:1::1", 1), ipv6("2001:db8::2", 22), "2001:db8:0:1::1 1 2001:db8::2 22", &c);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_memory_not_equal(&a, &c, sizeof(a));
}

static void test_groups(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} pairs[] = {
		{ "2001:db8:1:1::1", "2001:db8:1:ffff::1", true },
		{ "2001:db8:1:1::1", "2001:db8:2:1::1", false },
		{ "::ffff:192.0.2.7", "::ffff:192.0.2.7", true },
		{ "::ffff:192.0.2.7", "::ffff:192.0.2.8", false },
		{ "::1", "::ffff:192.0.2.8", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(pairs); i++) {
		struct sockaddr_storage remote_a = ipv6(pairs[i].a, 1), remote_b = ipv6(pairs[i].b, 2);
		PeerSource a, b;

		assert_int_equal(peer_source(&remote_a, &a), 0);
		assert_int_equal(peer_source(&remote_b, &b), 0);
		a = peer_group(&a);
		b = peer_group(&b);
		assert_int_equal(memcmp(&a, &b, sizeof(a)) == 0, pairs[i].same);
	}
}

static void test_longest_text_fits(void **state)
{
	PeerSource source;

	check(ipv6("2001:db8:1111:2222:3333:4444:5555:6666", 65535),
		ipv6("2001:db8:1111:2222:3333:4444:5555:7777", 65535),
		"2001:db8:1111:2222:3333:4444:5555:6666 65535 2001:db8:1111:2222:3333:4444:5555:7777 65535", &source);
}

static void test_other_families_are_none(void **state)
{
	struct sockaddr_storage unix_address = { .ss_family = AF_UNIX }, good = ipv4("127.0.0.1", 1);
	char text[WIRE_PEER_MAX];
	PeerSource source;

	assert_int_equal(peer_describe(&unix_address, &good, text), -EAFNOSUPPORT);
	assert_int_equal(peer_describe(&good, &unix_address, text), -EAFNOSUPPORT);
	assert_int_equal(peer_source(&unix_address, &source), -EAFNOSUPPORT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_texts_and_sources),
		cmocka_unit_test(test_groups),
		cmocka_unit_test(test_longest_text_fits),
		cmocka_unit_test(test_other_families_are_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Where forwardings may lead: each permission beside its refusal. */
#include "tests/unit/unit.h"

#include "shell/keeper/target.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define LOOPBACK "only this machine's loopback can be forwarded to"
#define KEY "this key may not forward ports"
#define PERMITOPEN "the port is not in this key's permitopen"
#define POLICY "the port is not in the policy's ports.forward"

static PortRange ranges[] = { { 80, 80 }, { 3000, 9000 } };
static const PortList none = { 0 }, some = { .ranges = ranges, .n = 2 }, own = { .own = true },
		      both = { .ranges = ranges, .n = 2, .own = true };

static const struct {
	const char *host;
	uint32_t port;
	const PortList *allowed;
	const char *options;
	const char *refusal; /* NULL: leads to `n` addresses */
	size_t n;
	bool own;
} rows[] = {
	{ "127.0.0.1", 3000, &some, "", NULL, 1, false },
	{ "127.255.0.9", 9000, &some, "", NULL, 1, false },
	{ "::1", 80, &some, "", NULL, 1, false },
	{ "0:0:0:0:0:0:0:1", 80, &some, "", NULL, 1, false },
	{ "localhost", 80, &some, "", NULL, 2, false },
	{ "LocalHost", 80, &some, "", NULL, 2, false },
	{ "128.0.0.1", 3000, &some, "", LOOPBACK, 0, false },
	{ "126.255.255.255", 3000, &some, "", LOOPBACK, 0, false },
	{ "0.0.0.0", 3000, &some, "", LOOPBACK, 0, false },
	{ "127.1", 3000, &some, "", LOOPBACK, 0, false },
	{ "2130706433", 3000, &some, "", LOOPBACK, 0, false },
	{ "127.0.0.1 ", 3000, &some, "", LOOPBACK, 0, false },
	{ "::", 3000, &some, "", LOOPBACK, 0, false },
	{ "::2", 3000, &some, "", LOOPBACK, 0, false },
	{ "::1%lo", 3000, &some, "", LOOPBACK, 0, false },
	{ "[::1]", 3000, &some, "", LOOPBACK, 0, false },
	{ "::ffff:127.0.0.1", 3000, &some, "", LOOPBACK, 0, false },
	{ "localhost.", 3000, &some, "", LOOPBACK, 0, false },
	{ "example.org", 3000, &some, "", LOOPBACK, 0, false },
	{ "", 3000, &some, "", LOOPBACK, 0, false },
	/* ports */
	{ "127.0.0.1", 0, &both, "", LOOPBACK, 0, false },
	{ "127.0.0.1", 65536, &both, "", LOOPBACK, 0, false },
	{ "127.0.0.1", 65536 + 3000, &both, "", LOOPBACK, 0, false },
	{ "127.0.0.1", 2999, &some, "", POLICY, 0, false },
	{ "127.0.0.1", 9001, &some, "", POLICY, 0, false },
	{ "127.0.0.1", 3000, &none, "", POLICY, 0, false },
	{ "127.0.0.1", 3000, &both, "", NULL, 1, false },
	{ "127.0.0.1", 2999, &both, "", NULL, 1, true },
	{ "127.0.0.1", 3000, &own, "", NULL, 1, true },
	{ "example.org", 3000, &own, "", LOOPBACK, 0, false },
	/* the key */
	{ "127.0.0.1", 3000, &both, "no-port-forwarding", KEY, 0, false },
	{ "127.0.0.1", 3000, &both, "restrict", KEY, 0, false },
	{ "127.0.0.1", 3000, &some, "restrict,port-forwarding", NULL, 1, false },
	{ "127.0.0.1", 3000, &some, "permitopen=\"127.0.0.1:3000\"", NULL, 1, false },
	{ "127.0.0.1", 3001, &some, "permitopen=\"127.0.0.1:3000\"", PERMITOPEN, 0, false },
	{ "127.0.0.2", 3000, &some, "permitopen=\"127.0.0.1:3000\"", PERMITOPEN, 0, false },
	{ "localhost", 3000, &some, "permitopen=\"127.0.0.1:3000\"", PERMITOPEN, 0, false },
	{ "localhost", 3001, &some, "permitopen=\"127.0.0.1:3000\",permitopen=\"localhost:*\"", NULL, 2, false },
	{ "::1", 3000, &some, "permitopen=\"[::1]:3000\"", NULL, 1, false },
	{ "127.0.0.1", 2999, &some, "permitopen=\"127.0.0.1:2999\"", POLICY, 0, false },
	{ "127.0.0.1", 2999, &both, "permitopen=\"127.0.0.1:2999\"", NULL, 1, true },
	{ "127.0.0.1", 2998, &both, "permitopen=\"127.0.0.1:2999\"", PERMITOPEN, 0, false },
};

static void test_judge(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		KeyOptions options;
		KeyReason reason;
		Target target = { .n = 7 };
		const char *refusal;

		assert_int_equal(key_options_parse(rows[i].options, strlen(rows[i].options), &options, &reason), 0);
		refusal = target_judge(&options, rows[i].allowed, rows[i].host, rows[i].port, &target);
		if (rows[i].refusal) {
			assert_non_null(refusal);
			assert_string_equal(refusal, rows[i].refusal);
			assert_int_equal(target.n, 7);
		} else {
			assert_null(refusal);
			assert_int_equal(target.n, rows[i].n);
			assert_int_equal(target.own, rows[i].own);
		}
		key_options_done(&options);
	}
}

static void test_localhost_is_tried_in_order(void **state)
{
	const KeyOptions options = KEY_OPTIONS_NONE;
	const struct sockaddr_in *in;
	const struct sockaddr_in6 *in6;
	Target target;

	assert_null(target_judge(&options, &some, "localhost", 3000, &target));
	in = (const struct sockaddr_in *)&target.addresses[0];
	in6 = (const struct sockaddr_in6 *)&target.addresses[1];
	assert_int_equal(in->sin_family, AF_INET);
	assert_int_equal(ntohl(in->sin_addr.s_addr), INADDR_LOOPBACK);
	assert_int_equal(ntohs(in->sin_port), 3000);
	assert_int_equal(in6->sin6_family, AF_INET6);
	assert_memory_equal(&in6->sin6_addr, &in6addr_loopback, sizeof(in6addr_loopback));
	assert_int_equal(ntohs(in6->sin6_port), 3000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_judge),
		cmocka_unit_test(test_localhost_is_tried_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

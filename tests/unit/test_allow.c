/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "sshd-sub/allow.h"

#include <string.h>

static bool ask(AllowState state, WireType type, uint32_t length, size_t n_fds, uint32_t *counts)
{
	WireHeader header = { .type = type, .length = length };

	return allow_message(state, &header, n_fds, counts);
}

/* A length that the row for `type` takes, so that only the state decides. */
static uint32_t fitting(WireType type)
{
	return type == WIRE_CLOSE || type == WIRE_TOLD ? 0 : 32;
}

static const struct {
	WireType type;
	unsigned int states;
} rows[] = {
	{ WIRE_NONE, 0 },
	{ WIRE_SIGN, STATE_SELFTEST | STATE_FRESH | STATE_KEYED | STATE_ENTERED },
	{ WIRE_QUERY, STATE_SELFTEST | STATE_KEYED },
	{ WIRE_LOGIN, STATE_SELFTEST | STATE_KEYED },
	{ WIRE_LOGIN_SK, STATE_SELFTEST | STATE_KEYED },
	{ WIRE_CONNECT, STATE_ENTERED },
	{ WIRE_START, STATE_ENTERED },
	{ WIRE_SIGNAL, STATE_ENTERED },
	{ WIRE_CLOSE, STATE_ENTERED },
	{ WIRE_TOLD, STATE_ENTERED },
	{ WIRE_BYE, STATE_SELFTEST | STATE_FRESH | STATE_KEYED | STATE_ASKING | STATE_ENTERED },
	/* what others say, a worker never may */
	{ WIRE_SIGNED, 0 },
	{ WIRE_VERDICT, 0 },
	{ WIRE_STARTED, 0 },
	{ WIRE_CONNECTED, 0 },
	{ WIRE_REFUSED, 0 },
	{ WIRE_EXITED, 0 },
	{ WIRE_CLOSED, 0 },
	{ WIRE_CONNECTION, 0 },
	{ WIRE_DROP, 0 },
	{ WIRE_HOSTKEY, 0 },
	{ WIRE_ADMITTED, 0 },
	{ WIRE_TYPES, 0 },
	{ 0x7fffffff, 0 },
};

static void test_states(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++)
		for (unsigned int bit = STATE_SELFTEST; bit <= STATE_ENTERED; bit <<= 1) {
			uint32_t counts[WIRE_TYPES] = { 0 };
			bool allowed = ask(bit, rows[i].type, fitting(rows[i].type), 0, counts);

			if (allowed != !!(rows[i].states & bit))
				fail_msg("message %d in state %u: %d", (int)rows[i].type, bit, allowed);
		}
}

static void test_every_type_has_a_row_here(void **state)
{
	for (WireType type = WIRE_NONE; type <= WIRE_TYPES; type++) {
		size_t i = 0;

		while (i < ELEMENTSOF(rows) && rows[i].type != type)
			i++;
		assert_true(i < ELEMENTSOF(rows));
	}
}

static void test_a_worker_sends_no_descriptors(void **state)
{
	uint32_t counts[WIRE_TYPES] = { 0 };

	assert_false(ask(STATE_ENTERED, WIRE_START, 32, 1, counts));
}

static void test_sizes(void **state)
{
	uint32_t counts[WIRE_TYPES] = { 0 };

	assert_false(ask(STATE_FRESH, WIRE_SIGN, WIRE_HASH_MIN - 1, 0, counts));
	assert_false(ask(STATE_FRESH, WIRE_SIGN, WIRE_HASH_MAX + 1, 0, counts));
	assert_true(ask(STATE_FRESH, WIRE_SIGN, WIRE_HASH_MAX, 0, counts));
	assert_false(ask(STATE_ENTERED, WIRE_CLOSE, 1, 0, counts));
	assert_false(ask(STATE_KEYED, WIRE_QUERY, KEEPER_KEY_BLOB_MAX + KEEPER_USER_MAX + 17, 0, counts));
	assert_false(ask(STATE_ENTERED, WIRE_START, WIRE_PAYLOAD_MAX + 1, 0, counts));
}

static void test_counts(void **state)
{
	uint32_t counts[WIRE_TYPES] = { 0 };

	assert_true(ask(STATE_FRESH, WIRE_SIGN, 32, 0, counts));
	assert_true(ask(STATE_KEYED, WIRE_SIGN, 32, 0, counts));
	assert_false(ask(STATE_KEYED, WIRE_SIGN, 32, 0, counts));
	assert_true(ask(STATE_ENTERED, WIRE_SIGN, 32, 0, counts));

	for (unsigned int i = 0; i < ALLOW_TRIES_MAX; i++) {
		assert_true(ask(STATE_KEYED, WIRE_QUERY, 32, 0, counts));
		assert_true(ask(STATE_KEYED, WIRE_LOGIN, 32, 0, counts));
	}
	assert_false(ask(STATE_KEYED, WIRE_QUERY, 32, 0, counts));
	assert_false(ask(STATE_KEYED, WIRE_LOGIN, 32, 0, counts));

	assert_true(ask(STATE_ENTERED, WIRE_BYE, 32, 0, counts));
	assert_false(ask(STATE_ENTERED, WIRE_BYE, 32, 0, counts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_every_type_has_a_row_here),
		cmocka_unit_test(test_a_worker_sends_no_descriptors),
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_counts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

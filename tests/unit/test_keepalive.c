/* SPDX-License-Identifier: MIT */
#include "sshd-sub/keepalive.h"
#include "tests/unit/unit.h"

#define SECOND UINT64_C(1000000)

static Keepalive started(void)
{
	static const Options options = { .keepalive_usec = 10 * SECOND, .keepalives = 3 };
	Keepalive keepalive;

	keepalive_begin(&keepalive, &options);
	/* the packets of the login count as heard */
	assert_int_equal(keepalive_step_at(&keepalive, 100 * SECOND, 5), KEEPALIVE_WAIT);
	return keepalive;
}

static void test_a_client_that_speaks_is_not_asked(void **state)
{
	Keepalive keepalive = started();

	for (uint64_t i = 1; i < 1000; i++)
		assert_int_equal(keepalive_step_at(&keepalive, (100 + i) * SECOND, 5 + i), KEEPALIVE_WAIT);
}

static void test_a_silent_client_is_asked_and_stays_while_it_answers(void **state)
{
	Keepalive keepalive = started();
	uint64_t packets = 5;

	assert_int_equal(keepalive_step_at(&keepalive, 109 * SECOND, packets), KEEPALIVE_WAIT);
	for (uint64_t i = 1; i < 50; i++) {
		assert_int_equal(keepalive_step_at(&keepalive, (90 + 20 * i) * SECOND, packets), KEEPALIVE_ASK);
		packets++;
		assert_int_equal(keepalive_step_at(&keepalive, (95 + 20 * i) * SECOND, packets), KEEPALIVE_WAIT);
		assert_int_equal(keepalive_step_at(&keepalive, (100 + 20 * i) * SECOND, packets), KEEPALIVE_WAIT);
	}
}

static void test_a_client_that_never_answers_is_gone(void **state)
{
	Keepalive keepalive = started();

	for (uint64_t i = 1; i <= 3; i++)
		assert_int_equal(keepalive_step_at(&keepalive, (100 + 10 * i) * SECOND, 5), KEEPALIVE_ASK);
	assert_int_equal(keepalive_step_at(&keepalive, 139 * SECOND, 5), KEEPALIVE_WAIT);
	assert_int_equal(keepalive_step_at(&keepalive, 140 * SECOND, 5), KEEPALIVE_GONE);
}

static void test_it_can_be_off(void **state)
{
	static const Options options = { .keepalives = 3 };
	Keepalive keepalive;

	keepalive_begin(&keepalive, &options);
	assert_int_equal(keepalive_timeout(&keepalive), -1);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(keepalive_step(&keepalive, true, 0), KEEPALIVE_WAIT);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_a_client_that_speaks_is_not_asked),
		cmocka_unit_test(test_a_silent_client_is_asked_and_stays_while_it_answers),
		cmocka_unit_test(test_a_client_that_never_answers_is_gone),
		cmocka_unit_test(test_it_can_be_off),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

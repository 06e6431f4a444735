/* SPDX-License-Identifier: MIT */
#include "sshd-sub/guard.h"
#include "tests/unit/unit.h"

#include <openssl/rand.h>

static unsigned int trips;

static void on_trip(void)
{
	trips++;
}

static void packets(unsigned int n)
{
	uint8_t padding[16];

	while (n--)
		assert_int_equal(RAND_bytes(padding, sizeof(padding)), 1);
}

static void test_honest_writes(void **state)
{
	assert_int_equal(RAND_status(), 1); /* and so libcrypto is linked */
	trips = 0;
	for (int i = 0; i < 100; i++) {
		guard_begin(100);
		packets(1000);
		guard_end();
	}
	packets(10000); /* outside of writes nobody counts */
	assert_int_equal(trips, 0);
}

static void test_a_write_without_end(void **state)
{
	trips = 0;
	guard_begin(100);
	packets(1124);
	assert_int_equal(trips, 0);
	packets(1);
	assert_int_equal(trips, 1);
	packets(5000);
	guard_end();
	assert_int_equal(trips, 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_honest_writes),
		cmocka_unit_test(test_a_write_without_end),
	};

	guard_init(on_trip);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "sshd-sub/modes.h"
#include "tests/unit/unit.h"

#include <libssh/libssh.h>

static void test_well_formed(void **state)
{
	static const uint8_t speeds[] = { 128, 0, 0, 0x96, 0, 129, 0, 0, 0x96, 0, 0 };

	assert_true(modes_well_formed(NULL, 0));
	assert_true(modes_well_formed((const uint8_t *)"", 1));
	assert_true(modes_well_formed(speeds, sizeof(speeds)));
	assert_true(modes_well_formed(speeds, sizeof(speeds) - 1));
	assert_true(modes_well_formed(speeds, 5));
}

static void test_not_well_formed(void **state)
{
	static const uint8_t behind_end[] = { 53, 0, 0, 0, 0, 0, 1 };
	static const uint8_t reserved[] = { 160, 0, 0, 0, 0, 0 };

	assert_false(modes_well_formed(behind_end, sizeof(behind_end)));
	assert_false(modes_well_formed(reserved, sizeof(reserved)));
	assert_false(modes_well_formed(behind_end, 4));
	assert_false(modes_well_formed((const uint8_t *)"xterm", 4));
	assert_false(modes_well_formed((const uint8_t *)"xterm-256color", 14));
}

/* the last string that lives, made through the functions that libssh calls */
static void test_last_string(void **state)
{
	static const uint8_t data[] = { 53, 0, 0, 0, 0, 0 };
	ssh_string first = ssh_string_new(sizeof(data)), second;

	assert_int_equal(ssh_string_fill(first, data, sizeof(data)), 0);
	assert_int_equal(modes_of_request().n, sizeof(data));
	assert_memory_equal(modes_of_request().data, data, sizeof(data));

	second = ssh_string_new(2000);
	assert_int_equal(modes_of_request().n, 0);
	ssh_string_free(second);
	assert_int_equal(modes_of_request().n, 0);
	ssh_string_free(first);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_well_formed),
		cmocka_unit_test(test_not_well_formed),
		cmocka_unit_test(test_last_string),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

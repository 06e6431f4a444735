/* SPDX-License-Identifier: MIT */
/* Which session a process is of, by its cgroup. */
#include "tests/unit/unit.h"

#include "shell/keeper/place.h"

#include <string.h>

#define SLICE "0::/user.slice/user-1000.slice/"
#define LEAVES "creel-leaves@1000.service/"
#define ID "session-0123456789abcdef"
#define LONG "0123456789012345678901234567890123456789012345678901234567890123456789"

static const struct {
	const char *cgroup, *place; /* NULL: in no session */
} rows[] = {
	{ SLICE "session-5.scope", "session-5.scope" },
	{ SLICE "session-c12.scope", "session-c12.scope" },
	{ SLICE LEAVES ID "/exec-3", LEAVES ID },
	{ SLICE LEAVES ID "/door", LEAVES ID },
	{ SLICE LEAVES ID, LEAVES ID },
	/* what has its name, and is none */
	{ SLICE "session-5.slice", NULL },
	{ SLICE "session-.scop", NULL },
	{ SLICE "session-5.scope/below", NULL },
	{ SLICE "user@1000.service/app.slice/session-5.scope", NULL },
	{ SLICE "user@1000.service/" LEAVES ID "/exec-1", NULL },
	{ SLICE "creel-leaves@1001.service/" ID "/exec-1", NULL },
	{ SLICE LEAVES "kept", NULL },
	{ SLICE LEAVES "hold", NULL },
	{ SLICE LEAVES LONG, NULL },
	{ SLICE LEAVES "session-" LONG LONG "/exec-1", NULL },
	{ SLICE, NULL },
	{ "0::/user.slice/user-100.slice/session-5.scope", NULL },
	{ "0::/user.slice/user-10000.slice/session-5.scope", NULL },
	{ "0::/creel.slice/creel-rescue@1000.service/" ID "/exec-1", NULL },
	{ "0::/user.slice/user-0.slice/session-1.scope", NULL },
	{ "0::/", NULL },
	{ "1:cpu:/user.slice/user-1000.slice/session-5.scope", NULL },
	{ "", NULL },
};

static void test_parse(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		char place[PLACE_SIZE] = "untouched";
		bool found = place_parse(rows[i].cgroup, 1000, place);

		if (found != (rows[i].place != NULL))
			print_error("%s\n", rows[i].cgroup);
		assert_int_equal(found, rows[i].place != NULL);
		assert_string_equal(place, found ? rows[i].place : "untouched");
	}
}

static void test_kind(void **state)
{
	assert_true(place_is_scope("session-5.scope"));
	assert_false(place_is_scope(LEAVES ID));
}

static void test_read(void **state)
{
	char place[PLACE_SIZE] = "untouched";

	/* whoever runs the tests is no agent of that number */
	assert_int_equal(place_read(getpid(), 999999999, place), -ENODATA);
	assert_true(place_read(0, 1000, place) < 0);
	assert_string_equal(place, "untouched");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_read),
	};

	return cmocka_run_group_tests_name("place", tests, NULL, NULL);
}

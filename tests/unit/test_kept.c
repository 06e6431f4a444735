/* SPDX-License-Identifier: MIT */
#include "sshd-sub/kept.h"
#include "shell/bus/bus.h"
#include "tests/unit/unit.h"

#include <libssh/server.h>

/* Places that stand for messages: libssh's own free must never see one of them here. */
static char places[KEEPER_CHANNELS_MAX + 1];

static ssh_message message(size_t i)
{
	return (ssh_message)(void *)&places[i];
}

static void test_sound_when_libssh_tried_to_free_it(void **state)
{
	assert_false(kept_is_sound(message(0)));
	assert_int_equal(kept_add(message(0)), 0);
	assert_false(kept_is_sound(message(0)));
	ssh_message_free(message(0)); /* the definition that libssh reaches, too */
	assert_true(kept_is_sound(message(0)));
	assert_false(kept_is_sound(message(1)));
}

static void test_what_was_freed_unseen_is_not_freed_again(void **state)
{
	assert_int_equal(kept_add(message(1)), 0);
	kept_free(message(1));
	assert_false(kept_is_sound(message(1)));
	kept_free(message(1));
	ssh_message_free(NULL);
}

static void test_as_many_as_there_are_channels(void **state)
{
	for (size_t i = 1; i < KEEPER_CHANNELS_MAX; i++) /* the first test left one */
		assert_int_equal(kept_add(message(i)), 0);
	assert_int_equal(kept_add(message(KEEPER_CHANNELS_MAX)), -ENOBUFS);
	kept_free(message(5));
	assert_int_equal(kept_add(message(KEEPER_CHANNELS_MAX)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound_when_libssh_tried_to_free_it),
		cmocka_unit_test(test_what_was_freed_unseen_is_not_freed_again),
		cmocka_unit_test(test_as_many_as_there_are_channels),
	};

	/* the definition above all others needs one behind it: the library is linked only if it is used */
	if (!ssh_version(0))
		return 1;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

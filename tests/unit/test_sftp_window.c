/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/base/cleanup.h"
#include "sshd-sub/sftp-window.h"

/* Three messages: bodies of 3, 0 and 1 bytes. */
static const uint8_t stream[] = { 0, 0, 0, 3, 'a', 'b', 'c', 0, 0, 0, 0, 0, 0, 0, 1, 'd' };

static void test_counts_whole_streams(void **state)
{
	SftpFramer framer = { 0 };
	unsigned int begun;

	assert_int_equal(sftp_walk(&framer, stream, sizeof(stream), UINT32_MAX, &begun), sizeof(stream));
	assert_int_equal(begun, 3);
}

static void test_any_cut_counts_the_same(void **state)
{
	for (size_t a = 0; a <= sizeof(stream); a++)
		for (size_t b = a; b <= sizeof(stream); b++) {
			const size_t cuts[] = { 0, a, b, sizeof(stream) };
			SftpFramer framer = { 0 };
			unsigned int total = 0;

			for (size_t i = 0; i + 1 < ELEMENTSOF(cuts); i++) {
				unsigned int begun;
				size_t n = cuts[i + 1] - cuts[i];

				assert_int_equal(sftp_walk(&framer, stream + cuts[i], n, UINT32_MAX, &begun), n);
				total += begun;
			}
			assert_int_equal(total, 3);
		}
}

static void test_stops_before_one_too_many(void **state)
{
	static const size_t ends[] = { 0, 7, 11, sizeof(stream), sizeof(stream) };

	for (unsigned int most = 0; most < ELEMENTSOF(ends); most++) {
		SftpFramer framer = { 0 };
		unsigned int begun;

		assert_int_equal(sftp_walk(&framer, stream, sizeof(stream), most, &begun), ends[most]);
		assert_int_equal(begun, most < 3 ? most : 3);
	}
}

static void test_a_message_under_way_may_go_on(void **state)
{
	SftpFramer framer = { 0 };
	unsigned int begun;

	assert_int_equal(sftp_walk(&framer, stream, 2, 1, &begun), 2);
	assert_int_equal(begun, 1);
	assert_int_equal(sftp_walk(&framer, stream + 2, sizeof(stream) - 2, 0, &begun), 5);
	assert_int_equal(begun, 0);
}

static void test_a_length_of_4_gb_is_only_a_number(void **state)
{
	static const uint8_t huge[] = { 0xff, 0xff, 0xff, 0xff, 1, 2, 3 };
	SftpFramer framer = { 0 };
	unsigned int begun;

	assert_int_equal(sftp_walk(&framer, huge, sizeof(huge), 1, &begun), sizeof(huge));
	assert_int_equal(framer.left, UINT32_MAX - 3);
}

static const uint8_t init[] = { 0, 0, 0, 5, 1, 0, 0, 0, 3 }, version[] = { 0, 0, 0, 5, 2, 0, 0, 0, 3 };
static const uint8_t ask[] = { 0, 0, 0, 1, 17 };

static void test_holds_back_what_both_speak(void **state)
{
	SftpWindow window = { 0 };

	for (size_t i = 0; i < sizeof(init); i++) /* in any pieces */
		sftp_sent(&window, init + i, 1);
	assert_false(sftp_holds(&window));
	sftp_came(&window, version, 3);
	sftp_came(&window, version + 3, sizeof(version) - 3);
	assert_true(sftp_holds(&window));
	assert_int_equal(window.unanswered, 0);
	for (unsigned int i = 0; i < SFTP_WINDOW; i++) {
		assert_int_equal(sftp_may_send(&window, ask, sizeof(ask)), sizeof(ask));
		sftp_sent(&window, ask, sizeof(ask));
	}
	assert_int_equal(sftp_may_send(&window, ask, sizeof(ask)), 0);
	sftp_came(&window, ask, sizeof(ask));
	assert_int_equal(sftp_may_send(&window, ask, sizeof(ask)), sizeof(ask));
}

static void test_more_than_may_be_before_it_was_known(void **state)
{
	SftpWindow window = { 0 };

	sftp_sent(&window, init, sizeof(init));
	for (unsigned int i = 0; i < 2 * SFTP_WINDOW; i++)
		sftp_sent(&window, ask, sizeof(ask));
	assert_int_equal(sftp_may_send(&window, ask, sizeof(ask)), sizeof(ask));
	sftp_came(&window, version, sizeof(version));
	assert_int_equal(sftp_may_send(&window, ask, sizeof(ask)), 0);
}

/* Whoever begins otherwise, on either side, is never held back. */
static void test_what_is_something_else(void **state)
{
	static const struct {
		uint8_t asks[9], answers[9];
	} others[] = {
		{ "GET / HT", "\0\0\0\5\2\0\0" },
		{ "\0\0\0\5\1\0\0", "welcome!" },
		{ "\0\0\0\5\2\0\0", "\0\0\0\5\2\0\0" }, /* no INIT */
		{ "\0\0\0\5\1\0\0", "\0\0\0\5\1\0\0" }, /* an echo */
		{ "\0\0\0\4\1\0\0", "\0\0\0\5\2\0\0" }, /* too short */
		{ "\0\5\0\0\1\0\0", "\0\0\0\5\2\0\0" }, /* too long */
		{ "\0\0\0\0\0\0\0", "\0\0\0\0\0\0\0" },
	};

	for (size_t i = 0; i < ELEMENTSOF(others); i++) {
		SftpWindow window = { 0 };

		sftp_sent(&window, others[i].asks, 9);
		sftp_came(&window, others[i].answers, 9);
		for (unsigned int k = 0; k < 2 * SFTP_WINDOW; k++) {
			assert_false(sftp_holds(&window));
			assert_int_equal(sftp_may_send(&window, ask, sizeof(ask)), sizeof(ask));
			sftp_sent(&window, ask, sizeof(ask));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts_whole_streams),
		cmocka_unit_test(test_any_cut_counts_the_same),
		cmocka_unit_test(test_stops_before_one_too_many),
		cmocka_unit_test(test_a_message_under_way_may_go_on),
		cmocka_unit_test(test_a_length_of_4_gb_is_only_a_number),
		cmocka_unit_test(test_holds_back_what_both_speak),
		cmocka_unit_test(test_more_than_may_be_before_it_was_known),
		cmocka_unit_test(test_what_is_something_else),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

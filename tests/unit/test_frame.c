/* SPDX-License-Identifier: MIT */
/* What the keeper takes from a REPL's driver, and what it does not. */
#include "tests/unit/unit.h"

#include "shell/run/frame.h"

#include <string.h>
#include <unistd.h>

static int feed(FrameReader *reader, const void *bytes, size_t n)
{
	int ends[2];

	assert_int_equal(pipe(ends), 0);
	assert_int_equal(write(ends[1], bytes, n), n);
	assert_int_equal(close(ends[1]), 0);
	assert_int_equal(frame_read(reader, ends[0]), n);
	return close(ends[0]);
}

#define FEED(reader, text) assert_int_equal(feed(reader, text, sizeof(text) - 1), 0)

static void test_frames_in_parts(void **state)
{
	FrameReader reader = { 0 };
	Frame frame;

	assert_int_equal(frame_next(&reader, &frame), 0);
	FEED(&reader, "H\0\0\0");
	assert_int_equal(frame_next(&reader, &frame), 0);
	FEED(&reader, "\0D\0\0\0\5x\3a");
	assert_int_equal(frame_next(&reader, &frame), 1);
	assert_int_equal(frame.type, 'H');
	assert_int_equal(frame_next(&reader, &frame), 0);
	FEED(&reader, "bc");
	assert_int_equal(frame_next(&reader, &frame), 1);
	assert_int_equal(frame.type, 'D');
	assert_int_equal(frame.status, FRAME_EXIT);
	assert_int_equal(frame.exit_status, 3);
	assert_string_equal(frame.error, "abc");
	assert_int_equal(frame_next(&reader, &frame), 0);
}

static void expect_bad(const char *bytes, size_t n)
{
	FrameReader reader = { 0 };
	Frame frame;

	assert_int_equal(feed(&reader, bytes, n), 0);
	assert_int_equal(frame_next(&reader, &frame), -EBADMSG);
}

static void test_what_is_none(void **state)
{
	expect_bad("R", 1);
	expect_bad("\0", 1);
	expect_bad("H\0\0\0\1a", 6);
	expect_bad("D\0\0\0\0", 5);
	expect_bad("D\0\0\0\1o", 6);
	expect_bad("D\0\0\0\2p\0", 7);
	expect_bad("D\0\0\0\2\0\0", 7);
	expect_bad("D\0\0\x20\0", 5);
	expect_bad("D\xff\xff\xff\xff", 5);
}

static void test_an_error_is_cut_and_made_text(void **state)
{
	static const char text[] =
		"a\n\tb\0c\033[1m\xc3\xa9\xff\xe2\x82\xac\xc2\x85\xed\xa0\x80\xc0\x80\xf0\x9f\x98\x80\xc3";
	uint8_t bytes[FRAME_HEAD + 2 + FRAME_ERROR_MAX + 1] = "D\0\0\0\0e\1";
	FrameReader reader = { 0 };
	Frame frame;

	bytes[4] = 2 + sizeof(text) - 1;
	memcpy(bytes + 7, text, sizeof(text) - 1);
	assert_int_equal(feed(&reader, bytes, 7 + sizeof(text) - 1), 0);
	assert_int_equal(frame_next(&reader, &frame), 1);
	assert_string_equal(frame.error, "a\n\tb?c?[1m\xc3\xa9?\xe2\x82\xac?\?\?\?\?\?\?\xf0\x9f\x98\x80?");

	/* the longest, and one byte more */
	memset(bytes + 7, 'a', FRAME_ERROR_MAX + 1);
	bytes[3] = (2 + FRAME_ERROR_MAX) >> 8;
	bytes[4] = (2 + FRAME_ERROR_MAX) & 0xff;
	assert_int_equal(feed(&reader, bytes, sizeof(bytes) - 1), 0);
	assert_int_equal(frame_next(&reader, &frame), 1);
	assert_int_equal(strlen(frame.error), FRAME_ERROR_MAX);
	bytes[4]++;
	assert_int_equal(feed(&reader, bytes, sizeof(bytes)), 0);
	assert_int_equal(frame_next(&reader, &frame), -EBADMSG);
}

static void test_a_reader_is_full(void **state)
{
	static uint8_t bytes[FRAME_MAX];
	FrameReader reader = { 0 };
	Frame frame;

	bytes[0] = 'D';
	bytes[3] = 0x1f; /* less than is there */
	bytes[4] = 0xff;
	assert_int_equal(feed(&reader, bytes, sizeof(bytes)), 0);
	assert_int_equal(frame_read(&reader, STDIN_FILENO), -ENOBUFS);
	assert_int_equal(frame_next(&reader, &frame), -EBADMSG);
}

static void test_the_beginning_of_a_call(void **state)
{
	uint8_t bytes[FRAME_BEGIN_MAX];
	char label[400];

	assert_int_equal(frame_begin(bytes, FRAME_ECHO, "<run>", 3), 12);
	assert_memory_equal(bytes, "R\0\0\0\n\2<run>\0", 12);
	memset(label, 'a', sizeof(label));
	label[sizeof(label) - 1] = '\0';
	assert_int_equal(frame_begin(bytes, 0, label, 64 << 20), FRAME_BEGIN_MAX);
	assert_memory_equal(bytes, "R\4\0\1\1\0aa", 8);
	assert_int_equal(bytes[FRAME_BEGIN_MAX - 1], 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_in_parts),
		cmocka_unit_test(test_what_is_none),
		cmocka_unit_test(test_an_error_is_cut_and_made_text),
		cmocka_unit_test(test_a_reader_is_full),
		cmocka_unit_test(test_the_beginning_of_a_call),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

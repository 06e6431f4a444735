/* SPDX-License-Identifier: MIT */
/* Points in time, and lines of keys, as an operator writes them. */
#include "tests/unit/unit.h"

#include "shell/operator/keyfile.h"
#include "shell/operator/when.h"

#include <string.h>
#include <time.h>

#define NOW (UINT64_C(1790000000) * 1000000)

static uint64_t when(const char *text)
{
	uint64_t usec = 1;

	return when_parse(text, NOW, &usec) < 0 ? 0 : usec;
}

static void test_when(void **state)
{
	static const char *const none[] = { "", "x", "-1", "2026", "2026-13-01", "2026-02-30", "2026-11-22 25:00",
		"2026-11-22 10:30 ", "@", "@x", "@99999999999999999999", "2 h", "9999999999d", "tomorrow" };

	assert_int_equal(setenv("TZ", "UTC", 1), 0);
	tzset();
	assert_true(when("now") == NOW);
	assert_true(when("2h") == NOW - UINT64_C(7200000000));
	assert_true(when("7d") == NOW - UINT64_C(604800000000));
	assert_true(when("@1000") == 1000000000);
	assert_true(when("2026-09-21") == UINT64_C(1789948800000000));
	assert_true(when("today") == when("2026-09-21"));
	assert_true(when("yesterday") == when("2026-09-20"));
	assert_true(when("2026-09-21 00:01") == when("2026-09-21") + 60000000);
	assert_true(when("2026-09-21T00:00:01") == when("2026-09-21 00:00:01"));
	for (size_t i = 0; i < ELEMENTSOF(none); i++)
		if (when(none[i]))
			fail_msg("`%s` is taken for a time", none[i]);
}

#define DATA "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

static void test_key_lines(void **state)
{
	static const char *const none[] = { "", "#", " # ssh-ed25519 " DATA, "ssh-ed25519", "ssh-ed25519 !",
		"nosuch " DATA, "a b ssh-ed25519 " DATA, "\"open ssh-ed25519 " DATA };
	static const char with_all[] = "command=\"a \\\"b\\\" c\",no-pty ssh-ed25519 " DATA " me at home \r";
	KeyLine key, other;

	assert_true(key_line_parse(with_all, strlen(with_all), &key));
	assert_memory_equal(key.options, "command=\"a \\\"b\\\" c\",no-pty", key.options_n);
	assert_int_equal(key.options_n, strlen("command=\"a \\\"b\\\" c\",no-pty"));
	assert_int_equal(key.comment_n, strlen("me at home"));
	assert_memory_equal(key.comment, "me at home", key.comment_n);
	assert_int_equal(strncmp(key.fingerprint, "SHA256:", 7), 0);
	assert_int_equal(strlen(key.fingerprint), 7 + 43);

	assert_true(key_line_parse("ssh-ed25519 " DATA, strlen("ssh-ed25519 " DATA), &other));
	assert_string_equal(other.fingerprint, key.fingerprint);
	assert_int_equal(other.options_n + other.comment_n, 0);
	for (size_t i = 0; i < ELEMENTSOF(none); i++)
		assert_false(key_line_parse(none[i], strlen(none[i]), &key));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_when), cmocka_unit_test(test_key_lines) };

	return cmocka_run_group_tests_name("when", tests, NULL, NULL);
}

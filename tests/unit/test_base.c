/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/audit/record.h"
#include "shell/base/base64.h"
#include "shell/base/keyed.h"
#include "shell/base/passing.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"

#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static void test_u64(void **state)
{
	uint64_t value = 7;

	assert_int_equal(str_to_u64("0", 10, &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(str_to_u64("18446744073709551615", UINT64_MAX, &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(str_to_u64("18446744073709551616", UINT64_MAX, &value), -ERANGE);
	assert_int_equal(str_to_u64("11", 10, &value), -ERANGE);
	assert_int_equal(str_to_u64("", 10, &value), -EINVAL);
	assert_int_equal(str_to_u64(NULL, 10, &value), -EINVAL);
	assert_int_equal(str_to_u64("-1", 10, &value), -EINVAL);
	assert_int_equal(str_to_u64("1 ", 10, &value), -EINVAL);
	assert_true(value == UINT64_MAX);
}

static void test_quote(void **state)
{
	char buffer[12];

	assert_string_equal(str_quote("abc", 3, buffer, sizeof(buffer)), "abc");
	assert_string_equal(str_quote("a\nb", 3, buffer, sizeof(buffer)), "a\\x0ab");
	assert_string_equal(str_quote("\x1b\"", 2, buffer, sizeof(buffer)), "\\x1b\\x22");
	assert_string_equal(str_quote("abcdefghijk", 11, buffer, sizeof(buffer)), "abcdefghijk");
	assert_string_equal(str_quote("abcdefghijkl", 12, buffer, sizeof(buffer)), "abcdefgh...");
	assert_string_equal(str_quote("a", 1, buffer, 1), "");
	for (size_t size = 0; size < sizeof(buffer); size++)
		for (size_t n = 0; n < 20; n++)
			assert_true(
				size == 0 ||
				strlen(str_quote(
					"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
					n, buffer, size)) < size);
}

static void test_shell_words(void **state)
{
	static const struct {
		const char *text, *word;
	} rows[] = { { "a.log", "a.log" }, { "/a/b-c_1.log", "/a/b-c_1.log" }, { "", "''" }, { "a b", "'a b'" },
		{ "$(reboot)", "'$(reboot)'" }, { "it's", "'it'\\''s'" }, { "~", "'~'" }, { "\xc3\xa4", "'\xc3\xa4'" },
		{ "a\nb'\\", "$'a\\x0ab\\x27\\x5c'" } };

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *word = str_shell_word(rows[i].text);

		assert_string_equal(word, rows[i].word);
	}
}

static void test_rate(void **state)
{
	Rate rate = { .interval_usec = 3600000000, .burst = 3 };
	uint64_t suppressed = 99;

	for (int i = 0; i < 3; i++) {
		assert_true(rate_take(&rate, &suppressed));
		assert_int_equal(suppressed, 0);
	}
	assert_false(rate_take(&rate, &suppressed));
	assert_false(rate_take(&rate, &suppressed));
	rate.next_usec = 0; /* time passed */
	assert_true(rate_take(&rate, &suppressed));
	assert_int_equal(suppressed, 2);
}

/* A value with a newline goes in the protocol's binary form: it cannot start a field of its own. */
static void test_entry_newline(void **state)
{
	static const char expected[] = "A=one\nB\n\x0a\0\0\0\0\0\0\0x\n_UID=0\ny\n";
	RecordEntry entry = { 0 };

	entry_text(&entry, "A", "one");
	entry_text(&entry, "EMPTY", "");
	entry_text(&entry, "B", "x\n_UID=0\ny");
	assert_int_equal(entry.error, 0);
	assert_int_equal(entry.n, sizeof(expected) - 1);
	assert_memory_equal(entry.data, expected, entry.n);
	entry_done(&entry);
}

static void test_base64(void **state)
{
	static const struct {
		const char *text;
		bool lines;
		const char *data; /* NULL: refused */
	} cases[] = {
		/* RFC 4648 section 10 */
		{ "", false, "" },
		{ "Zg==", false, "f" },
		{ "Zm8=", false, "fo" },
		{ "Zm9v", false, "foo" },
		{ "Zm9vYg==", false, "foob" },
		{ "+/+/", false, "\xfb\xff\xbf" },
		{ "Zm\n9v\r\nYg==\n", true, "foob" },
		{ "Zm9v\n", false, NULL },
		{ "Zg", false, NULL },
		{ "Zg=", false, NULL },
		{ "Zh==", false, NULL }, /* spare bits */
		{ "Zm9=", false, NULL },
		{ "Z===", false, NULL },
		{ "=m9v", false, NULL },
		{ "Zg==Zm9v", false, NULL },
		{ "Z=9v", false, NULL },
		{ "Zm9-", false, NULL },
		{ "Zm 9", true, NULL },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		size_t n = strlen(cases[i].text), got = 99;
		uint8_t data[32];
		int r = base64_decode(cases[i].text, n, cases[i].lines, data, &got);

		assert_int_equal(r, cases[i].data ? 0 : -EBADMSG);
		assert_int_equal(got, cases[i].data ? strlen(cases[i].data) : 99);
		if (cases[i].data)
			assert_memory_equal(data, cases[i].data, got);
		if (cases[i].lines)
			continue;
		if (cases[i].data) {
			char text[32];

			assert_true(base64_equals(cases[i].text, n, data, got));
			assert_int_equal(base64_encode(data, got, text), n);
			assert_memory_equal(text, cases[i].text, n);
		} else {
			assert_false(base64_equals(cases[i].text, n, (const uint8_t *)"foob", n == 8 ? 4 : n ? 1 : 0));
		}
	}
	assert_false(base64_equals("Zm9v", 4, (const uint8_t *)"fop", 3));
	assert_false(base64_equals("Zm9v", 4, (const uint8_t *)"fo", 2));
	assert_false(base64_equals("Zm9v", 4, (const uint8_t *)"foob", 4));
}

static void test_keyed(void **state)
{
	static const char text[] = "usage_usec 12\nuser_usec 7\nodd x\n";
	uint64_t value = 99;

	assert_int_equal(keyed_u64(text, "usage_usec", &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(keyed_u64(text, "user_usec", &value), 0);
	assert_int_equal(value, 7);
	assert_int_equal(keyed_u64(text, "user", &value), -ENODATA);
	assert_int_equal(keyed_u64("", "user", &value), -ENODATA);
	assert_int_equal(keyed_u64(text, "odd", &value), -EINVAL);
	assert_int_equal(value, 7);

	assert_int_equal(cpu_max_parse("75000 100000", &value), 0);
	assert_int_equal(value, 750000);
	assert_int_equal(cpu_max_parse("max 100000\n", &value), 0);
	assert_true(value == UINT64_MAX);
	assert_int_equal(cpu_max_parse("1 0", &value), -EINVAL);
	assert_int_equal(cpu_max_parse("75000", &value), -EINVAL);
	assert_int_equal(cpu_max_parse("-1 100000", &value), -EINVAL);
}

static unsigned int count_fds(void)
{
	_cleanup_closedir_ DIR *folder = opendir("/proc/self/fd");
	unsigned int n = 0;

	assert_non_null(folder);
	while (readdir(folder))
		n++;
	return n;
}

/* What is wanted arrives, also where less is there; one more is refused, and closed. */
static void test_passing(void **state)
{
	const int sent[PASSING_FDS_MAX] = { 0, 1, 2, 0 };
	char byte = 'x', got = 0;
	const struct iovec out = { &byte, 1 }, in = { &got, 1 };
	unsigned int before;
	int pair[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
	before = count_fds();
	for (size_t room = 0; room <= PASSING_FDS_MAX; room++)
		for (size_t n = 0; n <= PASSING_FDS_MAX; n++) {
			int fds[PASSING_FDS_MAX] = { -1, -1, -1, -1 };
			size_t n_fds = 77;
			ssize_t r;

			assert_int_equal(passing_send(pair[0], &out, 1, sent, n, 0), 0);
			r = passing_receive(pair[1], &in, 1, fds, room, &n_fds, MSG_DONTWAIT);
			if (n > room) {
				assert_int_equal(r, -EBADMSG);
				assert_int_equal(fds[0], -1);
				assert_int_equal(n_fds, 77);
			} else {
				assert_int_equal(r, 1);
				assert_int_equal(got, 'x');
				assert_int_equal(n_fds, n);
				for (size_t i = 0; i < n; i++) {
					assert_int_equal(fcntl(fds[i], F_GETFD), FD_CLOEXEC);
					assert_int_equal(close(fds[i]), 0);
				}
			}
			assert_int_equal(count_fds(), before);
		}
	assert_int_equal(passing_send(pair[0], &out, 1, sent, PASSING_FDS_MAX + 1, 0), -EINVAL);
	assert_int_equal(passing_receive(pair[1], &in, 1, NULL, 0, &(size_t){ 0 }, MSG_DONTWAIT), -EAGAIN);
	(void)close(pair[0]);
	assert_int_equal(passing_receive(pair[1], &in, 1, NULL, 0, &(size_t){ 0 }, 0), 0);
	(void)close(pair[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_u64),
		cmocka_unit_test(test_shell_words),
		cmocka_unit_test(test_quote),
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_base64),
		cmocka_unit_test(test_keyed),
		cmocka_unit_test(test_entry_newline),
		cmocka_unit_test(test_passing),
	};

	return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/base/job-words.h"
#include "shell/keeper/execution-line.h"

#include <string.h>

static void test_lines(void **state)
{
	static const struct {
		const char *arguments;
		size_t n;
		const char *line;
	} rows[] = {
		{ "", 0, "" },
		{ "ls\0-l\0/a b\0", 11, "ls -l '/a b'" },
		{ "a", 1, "a" }, /* cut off: no NUL behind it */
		{ "echo\0\0x\0", 8, "echo '' x" },
		{ "sh\0-c\0it's\nall\0", 15, "sh -c 'it'\\''s\nall'" },
		{ "\0", 1, "''" },
		{ "x\0--token=a b\0", 14, "x --token='a b'" },
		{ "a b=c\0=\0d=$e", 12, "'a b=c' = d='$e'" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *line = execution_line(rows[i].arguments, rows[i].n, NULL);

		assert_non_null(line);
		assert_string_equal(line, rows[i].line);
	}
}

static void test_words_of_a_job(void **state)
{
	_cleanup_free_ char *line = execution_line("sh\0-c\0a\2 echo \1x\3\2\0", 19, job_word_decode);

	assert_non_null(line);
	assert_string_equal(line, "sh -c 'a; echo $x\2'");
}

static void test_ours(void **state)
{
	assert_true(execution_is_ours(CREEL_LIBEXECDIR "/creel-shell"));
	assert_false(execution_is_ours(CREEL_LIBEXECDIR "/../../../home/agent/x"));
	assert_false(execution_is_ours(CREEL_LIBEXECDIR "/x/y"));
	assert_false(execution_is_ours(CREEL_LIBEXECDIR "x"));
	assert_false(execution_is_ours("/bin/sh"));
	assert_false(execution_is_ours(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_lines), cmocka_unit_test(test_words_of_a_job),
		cmocka_unit_test(test_ours) };

	return cmocka_run_group_tests_name("execution-line", tests, NULL, NULL);
}

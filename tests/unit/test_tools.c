/* SPDX-License-Identifier: MIT */
/* What creel's commands about runs read and write: words, lines, JSON. */
#include "tests/unit/unit.h"

#include "shell/base/quantity.h"
#include "shell/base/utf8.h"
#include "shell/tools/fields.h"
#include "shell/tools/language.h"
#include "shell/tools/lines.h"
#include "shell/tools/result.h"
#include "shell/tools/run-options.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

/* ---- shell/base ---- */

static void test_quantity(void **state)
{
	static const struct {
		QuantityKind kind;
		const char *text;
		int r;
		uint64_t value;
	} rows[] = {
		{ QUANTITY_TIME, "30s", 0, 30000000 },
		{ QUANTITY_TIME, "500ms", 0, 500000 },
		{ QUANTITY_TIME, "30", -EINVAL, 0 },
		{ QUANTITY_TIME, "s", -EINVAL, 0 },
		{ QUANTITY_TIME, "-1s", -EINVAL, 0 },
		{ QUANTITY_TIME, "300000000d", -ERANGE, 0 },
		{ QUANTITY_SIZE, "256M", 0, 256 << 20 },
		{ QUANTITY_SIZE, "17", 0, 17 },
		{ QUANTITY_SIZE, "1.5G", -EINVAL, 0 },
		{ QUANTITY_SIZE, "1MB", -EINVAL, 0 },
		{ QUANTITY_SIZE, "99999999999999999T", -ERANGE, 0 },
		{ QUANTITY_SIZE, "max", -EINVAL, 0 },
		{ QUANTITY_CORES, "0.5", 0, 500000 },
		{ QUANTITY_CORES, "2", 0, 2000000 },
		{ QUANTITY_CORES, "0.1234567", -EINVAL, 0 },
		{ QUANTITY_CORES, "1.", -EINVAL, 0 },
		{ QUANTITY_COUNT, "50", 0, 50 },
		{ QUANTITY_COUNT, "50K", -EINVAL, 0 },
	};
	char text[32];

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		uint64_t value = 0;

		assert_int_equal(quantity_parse(rows[i].kind, rows[i].text, &value), rows[i].r);
		assert_true(value == rows[i].value);
		if (!rows[i].r)
			assert_string_equal(quantity_text(rows[i].kind, value, text, sizeof(text)), rows[i].text);
	}
	assert_string_equal(quantity_text(QUANTITY_SIZE, QUANTITY_UNLIMITED, text, sizeof(text)), "max");
	assert_string_equal(quantity_text(QUANTITY_TIME, 0, text, sizeof(text)), "0s");
}

static void test_utf8(void **state)
{
	assert_int_equal(utf8_length("a", 1), 1);
	assert_int_equal(utf8_length("\xc3\xa9", 2), 2);
	assert_int_equal(utf8_length("\xf0\x9f\x98\x80", 4), 4);
	assert_int_equal(utf8_length("\xc3", 1), 0);
	assert_int_equal(utf8_length("\xc0\x80", 2), 0);         /* not the shortest form */
	assert_int_equal(utf8_length("\xed\xa0\x80", 3), 0);     /* a surrogate */
	assert_int_equal(utf8_length("\xf4\x90\x80\x80", 4), 0); /* above U+10FFFF */
	assert_int_equal(utf8_cut("", 0), 0);
	assert_int_equal(utf8_cut("ab", 2), 0);
	assert_int_equal(utf8_cut("a\xc3\xa9", 3), 0);
	assert_int_equal(utf8_cut("a\xc3", 2), 1);
	assert_int_equal(utf8_cut("\xf0\x9f\x98", 3), 3);
	assert_int_equal(utf8_cut("\xed", 1), 1);
	assert_int_equal(utf8_cut("\xed\xa0", 2), 0); /* nothing can complete it */
	assert_int_equal(utf8_cut("\x80\x80\x80\x80", 4), 0);
	assert_int_equal(utf8_cut("\xff", 1), 0);
}

/* ---- words ---- */

static void test_language(void **state)
{
	assert_string_equal(language_of_path("/a.b/x.PY"), "python");
	assert_string_equal(language_of_path("x.mjs"), "javascript");
	assert_null(language_of_path("/a.py/x"));
	assert_null(language_of_path(".sh"));
	assert_string_equal(language_of_code("#!/usr/bin/env python3.11\nx", 27), "python");
	assert_string_equal(language_of_code("#! /bin/bash -eu", 16), "bash");
	assert_string_equal(language_of_code("#!/usr/bin/env -S A=b node\n", 27), "javascript");
	assert_null(language_of_code("#!/usr/bin/perl\n", 16));
	assert_null(language_of_code("#!/usr/bin/pythonic\n", 20));
	assert_null(language_of_code("#!", 2));
	assert_null(language_of_code("", 0));
	assert_string_equal(language_of_name("js"), "javascript");
	assert_null(language_of_name(""));
}

static void test_run_words(void **state)
{
	char *argv[] = { "--memory=64M", "a.py", "--cpu", "0.5", "--isolate", "--", "--json", "b" };
	RunWords words = { 0 };
	char why[256];

	assert_int_equal(run_words_read(ELEMENTSOF(argv), argv, &words, why, sizeof(why)), 0);
	assert_string_equal(words.path, "a.py");
	assert_true(words.options.memory == 64 << 20 && words.options.cpu == 500000 && words.options.independent);
	assert_true(words.options.timeout_usec == RUN_DEFAULT && !words.json);
	assert_string_equal(words.options.language, "");
	assert_ptr_equal(words.options.arguments, argv + 6);
	assert_int_equal(run_words_read(1, argv, &words, why, sizeof(why)), -EINVAL);
}

/* ---- lines ---- */

static LineEvent feed(LineReader *reader, const char *text, char **line, size_t *n)
{
	size_t room;

	while (*text) {
		char *at = line_room(reader, &room);
		size_t part = strnlen(text, room < 3 ? room : 3);

		assert_non_null(at);
		memcpy(at, text, part);
		line_added(reader, part);
		text += part;
		if (*text)
			assert_int_equal(line_next(reader, line, n), LINE_NONE);
	}
	return line_next(reader, line, n);
}

static void test_lines(void **state)
{
	LineReader reader = { .max = 8 };
	char *line;
	size_t n;

	assert_int_equal(feed(&reader, "12345678\n", &line, &n), LINE_WHOLE);
	assert_int_equal(n, 8);
	assert_memory_equal(line, "12345678", 8);
	assert_int_equal(line_pending(&reader), 0);
	assert_int_equal(feed(&reader, "a\r\n", &line, &n), LINE_WHOLE);
	assert_int_equal(n, 1);
	assert_int_equal(feed(&reader, "\n", &line, &n), LINE_WHOLE);
	assert_int_equal(n, 0);
	assert_int_equal(feed(&reader, "123456789", &line, &n), LINE_TOO_LONG);
	assert_int_equal(feed(&reader, "123456789", &line, &n), LINE_NONE);
	assert_int_equal(feed(&reader, "1\n", &line, &n), LINE_NONE);
	assert_int_equal(feed(&reader, "b\nc", &line, &n), LINE_WHOLE);
	assert_memory_equal(line, "b", 1);
	assert_int_equal(line_next(&reader, &line, &n), LINE_NONE);
	assert_int_equal(line_pending(&reader), 1);
	line_reader_done(&reader);
}

/* ---- JSON ---- */

static void test_json_is_bounded(void **state)
{
	char deep[JSONTEXT_DEPTH_MAX * 2 + 2], why[256];
	json_t *value = NULL;

	memset(deep, '[', JSONTEXT_DEPTH_MAX + 1);
	memset(deep + JSONTEXT_DEPTH_MAX + 1, ']', JSONTEXT_DEPTH_MAX + 1);
	assert_int_equal(jsontext_parse(deep, sizeof(deep), &value, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "deeper than 64"));
	assert_int_equal(jsontext_parse(deep + 1, sizeof(deep) - 2, &value, why, sizeof(why)), 0);
	json_decref(value);
	/* brackets in strings are none */
	memset(deep, '[', sizeof(deep));
	deep[0] = '[';
	deep[1] = deep[sizeof(deep) - 2] = '"';
	deep[sizeof(deep) - 1] = ']';
	assert_int_equal(jsontext_parse(deep, sizeof(deep), &value, why, sizeof(why)), 0);
	json_decref(value);
}

static void test_json_names_what_is_twice(void **state)
{
	static const char *const texts[] = { "{\"a\\\"b\": 1, \"a\\\"b\" : 2}", "[{}, {\"k\": [1], \"k\": 2}]",
		"{\"\": 1, \"\": 2}" };
	static const char *const names[] = { "`a\\x5c\\x22b`", "`k`", "``" };
	json_t *value;
	char why[256];

	for (size_t i = 0; i < ELEMENTSOF(texts); i++) {
		assert_int_equal(jsontext_parse(texts[i], strlen(texts[i]), &value, why, sizeof(why)), -EINVAL);
		assert_non_null(strstr(why, names[i]));
		assert_non_null(strstr(why, "stands twice"));
	}
}

static void test_fields(void **state)
{
	struct Values {
		const char *string;
		FieldText text;
		char **strings;
		bool flag;
		uint64_t time, size, cores, count;
	} values = { 0 };
	static const Field fields[] = {
		{ "string", FIELD_STRING, offsetof(struct Values, string), true },
		{ "text", FIELD_TEXT, offsetof(struct Values, text), false },
		{ "strings", FIELD_STRINGS, offsetof(struct Values, strings), false },
		{ "flag", FIELD_FLAG, offsetof(struct Values, flag), false },
		{ "time", FIELD_TIME, offsetof(struct Values, time), false },
		{ "size", FIELD_SIZE, offsetof(struct Values, size), false },
		{ "cores", FIELD_CORES, offsetof(struct Values, cores), false },
		{ "count", FIELD_COUNT, offsetof(struct Values, count), false },
		{ .name = NULL },
	};
	static const char good[] =
		"{\"string\": \"s\", \"text\": \"a\\u0000b\", \"strings\": [\"x\", \"y\"], \"flag\": true, "
		"\"time\": 1.5, \"size\": \"1K\", \"cores\": 0.25, \"count\": null}";
	static const char *const bad[] = { "{}", "{\"string\": null}", "{\"string\": \"a\\u0000\"}",
		"{\"string\": \"\", \"other\": 1}", "{\"string\": \"\", \"strings\": [1]}",
		"{\"string\": \"\", \"flag\": 1}", "{\"string\": \"\", \"time\": -1}",
		"{\"string\": \"\", \"time\": 1e300}", "{\"string\": \"\", \"size\": 1.5}",
		"{\"string\": \"\", \"count\": \"1\"}" };
	json_t *object;
	char why[256];

	assert_int_equal(jsontext_parse(good, sizeof(good) - 1, &object, why, sizeof(why)), 0);
	assert_int_equal(fields_read(object, fields, &values, why, sizeof(why)), 0);
	assert_string_equal(values.string, "s");
	assert_int_equal(values.text.n, 3);
	assert_string_equal(values.strings[1], "y");
	assert_null(values.strings[2]);
	assert_true(values.flag && values.time == 1500000 && values.size == 1024 && values.cores == 250000);
	json_decref(object);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		assert_int_equal(jsontext_parse(bad[i], strlen(bad[i]), &object, why, sizeof(why)), 0);
		assert_int_equal(fields_read(object, fields, &values, why, sizeof(why)), -EINVAL);
		json_decref(object);
	}
	free(values.strings);
}

/* ---- results ---- */

static RunResult result_of(const char *bytes, size_t n, uint64_t all, uint64_t head)
{
	int fd = memfd_create("result", MFD_CLOEXEC);

	assert_true(fd >= 0 && write(fd, bytes, n) == (ssize_t)n);
	return (RunResult){ .stdout_fd = fd,
		.stderr_fd = -EBADF,
		.stdout_bytes = all,
		.stdout_head = head,
		.stdout_file = "/f",
		.stderr_file = "",
		.files_directory = "",
		.error = "",
		.exit_code = 0 };
}

static void expect_text(const RunResult *result, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;

	assert_int_equal(result_text(result, 1, &text, &n), 0);
	assert_int_equal(n, strlen(expected));
	assert_memory_equal(text, expected, n);
	(void)close(result->stdout_fd);
}

static void test_result_text(void **state)
{
	RunResult result = result_of("whole", 5, 5, 5);

	expect_text(&result, "whole");
	result = result_of("headtail", 8, 100, 4);
	expect_text(&result, "head\n[... 92 bytes left out; all of it: /f ...]\ntail");
	result = result_of("line\ntail", 9, 100, 5);
	result.stdout_file = "";
	expect_text(&result, "line\n[... 91 bytes left out ...]\ntail");
	/* characters that the cut goes through are left out with the rest */
	result = result_of("h\xc3\xa9\xc3\x82\xact", 7, 100, 4);
	expect_text(&result, "h\xc3\xa9\n[... 96 bytes left out; all of it: /f ...]\nt");
	/* the keeper took it back */
	result = result_of("", 0, 100, 50);
	expect_text(&result, "[... 100 bytes left out; all of it: /f ...]\n");
}

static void test_result_signal(void **state)
{
	char name[32];

	assert_string_equal(result_signal(9, name, sizeof(name)), "SIGKILL");
	assert_string_equal(result_signal(SIGRTMIN + 3, name, sizeof(name)), "SIGRTMIN+3");
	assert_string_equal(result_signal(1000, name, sizeof(name)), "1000");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_quantity),
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_language),
		cmocka_unit_test(test_run_words),
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_json_is_bounded),
		cmocka_unit_test(test_json_names_what_is_twice),
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_result_text),
		cmocka_unit_test(test_result_signal),
	};

	return cmocka_run_group_tests_name("tools", tests, NULL, NULL);
}

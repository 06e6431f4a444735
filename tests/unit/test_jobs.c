/* SPDX-License-Identifier: MIT */
#include "shell/jobs/folders.h"
#include "shell/jobs/name.h"
#include "shell/jobs/options.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void test_names(void **state)
{
	static const char *const good[] = { "a", "7", "my-api", "A.b_c-1",
		"0123456789012345678901234567890123456789012345678901234567890123" };
	static const struct {
		const char *name, *why;
	} bad[] = {
		{ "", "empty" },
		{ "-a", "begin with `-`" },
		{ ".a", "begin with `.`" },
		{ "a b", "space" },
		{ "a/b", "slash" },
		{ "../x", "slash" },
		{ "a\n", "control" },
		{ "a;b", "`;`" },
		{ "\xc3\xa4", "ASCII" },
		{ "a@b", "`@`" },
		{ "01234567890123456789012345678901234567890123456789012345678901234", "65 characters" },
	};
	Reason reason;

	for (size_t i = 0; i < ELEMENTSOF(good); i++)
		assert_int_equal(jobs_name_check(good[i], &reason), 0);
	for (size_t i = 0; i < ELEMENTSOF(bad); i++) {
		assert_int_equal(jobs_name_check(bad[i].name, &reason), -EINVAL);
		if (!strstr(reason.text, bad[i].why))
			fail_msg("%s: %s", bad[i].name, reason.text);
	}
}

static void test_spans(void **state)
{
	static const struct {
		const char *text;
		uint64_t usec;
	} good[] = {
		{ "0", 0 },
		{ "90", 90 * USEC_PER_SEC },
		{ "90s", 90 * USEC_PER_SEC },
		{ "500ms", 500000 },
		{ "1.5h", 5400 * USEC_PER_SEC },
		{ "1h30m", 5400 * USEC_PER_SEC },
		{ "1h 30min", 5400 * USEC_PER_SEC },
		{ "2d", 172800 * USEC_PER_SEC },
	};
	static const char *const bad[] = { "", "s", "-1", "1x", "1.", "1.s", ".5", "1h-3", " 1", "0x10", "1e3", "nan",
		"99999999999999999999", "4000d" };
	static const struct {
		uint64_t usec;
		const char *text;
	} texts[] = {
		{ 0, "0.0s" },
		{ 340000, "0.3s" },
		{ 12900000, "12s" },
		{ 185 * USEC_PER_SEC, "3m 5s" },
		{ 7800 * USEC_PER_SEC, "2h 10m" },
		{ (4 * 24 + 3) * 3600 * USEC_PER_SEC, "4d 3h" },
		{ USEC_UNKNOWN, "-" },
	};
	char buffer[32];
	uint64_t usec;

	for (size_t i = 0; i < ELEMENTSOF(good); i++) {
		assert_int_equal(span_parse(good[i].text, &usec), 0);
		assert_int_equal(usec, good[i].usec);
	}
	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		assert_true(span_parse(bad[i], &usec) < 0);
	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		assert_string_equal(span_text(texts[i].usec, buffer, sizeof(buffer)), texts[i].text);
	assert_string_equal(
		when_json(UINT64_C(1771765500) * USEC_PER_SEC, buffer, sizeof(buffer)), "2026-02-22T13:05:00Z");
	assert_string_equal(when_json(0, buffer, sizeof(buffer)), "");
	assert_string_equal(when_text(0, buffer, sizeof(buffer)), "-");
}

static void test_options(void **state)
{
	const char *value = NULL, *items[2];
	bool flag = false;
	_cleanup_strlist_ StrList list = { 0 };
	const Option options[] = { { "--json", .flag = &flag }, { "--lines", "-n", .value = &value },
		{ "--env", .list = &list }, { NULL } };
	Words words = { items, .max = ELEMENTSOF(items) };
	char *good[] = { "name", "-n", "5", "--json", "--env=A=b", "--env", "C=d=e", "-", "--", "--json", "x", NULL };
	char *unknown[] = { "--nothing", NULL }, *none[] = { "--lines", NULL }, *many[] = { "a", "b", "c", NULL };
	char *with[] = { "--json=yes", NULL };
	Reason reason;

	assert_int_equal(options_read(ELEMENTSOF(good) - 1, good, options, &words, &reason), 0);
	assert_true(flag);
	assert_string_equal(value, "5");
	assert_int_equal(list.n, 2);
	assert_string_equal(list.items[0], "A=b");
	assert_string_equal(list.items[1], "C=d=e");
	assert_int_equal(words.n, 2);
	assert_string_equal(words.items[1], "-");
	assert_int_equal(words.command_n, 2);
	assert_string_equal(words.command[0], "--json");
	assert_int_equal(options_read(1, unknown, options, &words, &reason), -EINVAL);
	assert_non_null(strstr(reason.text, "--nothing"));
	assert_int_equal(options_read(1, none, options, &words, &reason), -EINVAL);
	assert_int_equal(options_read(3, many, options, &words, &reason), -EINVAL);
	assert_int_equal(options_read(1, with, options, &words, &reason), -EINVAL);
	assert_null(words.command);
}

/* A home of its own for a test; it stays open as `ret_fd`. */
static void home_make(char *home, int *ret_fd)
{
	assert_non_null(mkdtemp(home));
	assert_int_equal(setenv("HOME", home, 1), 0);
	*ret_fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(*ret_fd >= 0);
}

static void test_folders(void **state)
{
	char home[] = "/tmp/creel-jobs-XXXXXX", text[16];
	_cleanup_close_ int home_fd = -EBADF, fd = -EBADF, log_fd = -EBADF;
	_cleanup_free_ char *path = NULL;
	struct stat st;
	Reason reason;

	home_make(home, &home_fd);
	path = home_path("a/b", "c");
	assert_non_null(path);
	assert_string_equal(path + strlen(home), "/a/b/c");
	assert_int_equal(folder_open("a/b", false, &reason), -ENOENT);
	fd = folder_open("a/b", true, &reason);
	assert_true(fd >= 0);
	assert_int_equal(folder_put(fd, "a/b", "c", "new", 3, 0600, &reason), 0);

	/* a link is replaced, not followed */
	assert_int_equal(symlinkat("/etc/passwd", fd, "link"), 0);
	assert_int_equal(folder_put(fd, "a/b", "link", "x", 1, 0600, &reason), 0);
	assert_int_equal(fstatat(fd, "link", &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(symlinkat("/tmp/elsewhere", fd, "log"), 0);
	assert_int_equal(folder_log(fd, "log", true), -ELOOP);
	assert_int_equal(unlinkat(fd, "log", 0), 0);
	assert_int_equal(mkfifoat(fd, "log", 0600), 0);
	log_fd = folder_log(fd, "log", true);
	assert_true(log_fd < 0);
	assert_int_equal(unlinkat(fd, "log", 0), 0);

	/* what was there becomes the old one; nothing does not */
	log_fd = folder_log(fd, "c", true);
	assert_true(log_fd >= 0);
	assert_int_equal(write(log_fd, "2", 1), 1);
	fd_close(log_fd);
	log_fd = openat(fd, "c.old", O_RDONLY | O_CLOEXEC);
	assert_int_equal(read(log_fd, text, sizeof(text)), 3);
	fd_close(log_fd);
	log_fd = folder_log(fd, "c", false);
	assert_int_equal(fstat(log_fd, &st), 0);
	assert_int_equal(st.st_size, 1);

	/* a file where a folder should be is named */
	assert_true(folder_open("a/b/c/d", true, &reason) < 0);
	assert_non_null(strstr(reason.text, "~/a/b/c"));
	for (size_t i = 0; i < 3; i++)
		(void)unlinkat(fd, (const char *[]){ "c", "c.old", "link" }[i], 0);
	(void)unlinkat(home_fd, "a/b", AT_REMOVEDIR);
	(void)unlinkat(home_fd, "a", AT_REMOVEDIR);
	assert_int_equal(rmdir(home), 0);
}

static char *table_text(const Table *table, size_t width)
{
	char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	assert_non_null(file);
	table_print(table, file, width, false);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void test_tables(void **state)
{
	static const TableColumn columns[] = { { "NAME", .cut = true }, { "PID", .right = true },
		{ "WHAT", .cut = true } };
	_cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
	_cleanup_free_ char *none = NULL, *wide = NULL, *narrow = NULL;

	assert_non_null(table);
	none = table_text(table, 0);
	assert_string_equal(none, "");
	assert_int_equal(table_add(table, (const char *[]){ "a", "17", "evil\033[2J\n" }), 0);
	assert_int_equal(table_add(table, (const char *[]){ "longer-name", "", "\xc3\xa4" }), 0);
	wide = table_text(table, 0);
	assert_string_equal(wide, "NAME         PID  WHAT\n"
				  "a             17  evil\\x1b[2J\\x0a\n"
				  "longer-name    -  \xc3\xa4\n");
	narrow = table_text(table, 24);
	assert_string_equal(narrow, "NAME      PID  WHAT\n"
				    "a          17  evil\\x1b~\n"
				    "longer-~    -  \xc3\xa4\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_spans),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_folders),
		cmocka_unit_test(test_tables),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

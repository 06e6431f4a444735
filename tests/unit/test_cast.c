/* SPDX-License-Identifier: MIT */
/* Recordings of terminals: their lines, their bound, and what of them is kept. */
#include "tests/unit/unit.h"

#include "shell/audit/cast.h"
#include "shell/audit/recordings.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define SECOND UINT64_C(1000000)

static const CastHeader header = {
	.columns = 80,
	.rows = 24,
	.since_usec = 1700000000 * SECOND,
	.title = "a \"b\"",
	.term = "xterm",
	.shell = "/bin/bash",
};

static char *text_of(int fd)
{
	off_t n = lseek(fd, 0, SEEK_END);
	char *text = calloc(1, (size_t)n + 1);

	assert_non_null(text);
	assert_int_equal(pread(fd, text, (size_t)n, 0), n);
	return text;
}

static void test_lines(void **state)
{
	_cleanup_close_ int fd = memfd_create("cast", MFD_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	Cast cast;

	assert_int_equal(cast_begin(&cast, fd, CAST_LEAST, 5 * SECOND, &header), 0);
	cast_output(&cast, 5 * SECOND + 250000, "a\r\n\033[1m\x07", 8);
	/* a character in two reads, a byte that is none */
	cast_output(&cast, 6 * SECOND, "\xc3", 1);
	cast_output(&cast, 7 * SECOND, "\xa4\xff.", 3);
	cast_size(&cast, 8 * SECOND, 100, 30);
	cast_output(&cast, 9 * SECOND, "password=hunter2hunter2 x", 25);
	text = text_of(fd);
	assert_string_equal(text,
		"{\"version\":2,\"width\":80,\"height\":24,\"timestamp\":1700000000,\"title\":\"a \\\"b\\\"\","
		"\"env\":{\"TERM\":\"xterm\",\"SHELL\":\"/bin/bash\"}}\n"
		"[0.250000, \"o\", \"a\\u000d\\n\\u001b[1m\\u0007\"]\n"
		"[2.000000, \"o\", \"\xc3\xa4\\ufffd.\"]\n"
		"[3.000000, \"r\", \"100x30\"]\n"
		"[4.000000, \"o\", \"password=[redacted] x\"]\n");
}

static void test_bound(void **state)
{
	_cleanup_close_ int fd = memfd_create("cast", MFD_CLOEXEC);
	_cleanup_free_ char *text = NULL;
	char much[5000];
	Cast cast;

	memset(much, 'x', sizeof(much));
	assert_int_equal(cast_begin(&cast, fd, CAST_LEAST, 0, &header), 0);
	for (unsigned int i = 0; i < 100; i++)
		cast_output(&cast, i, much, sizeof(much));
	text = text_of(fd);
	assert_in_range(strlen(text), CAST_LEAST - 6000, CAST_LEAST);
	assert_non_null(strstr(text, "\"m\", \"the recording ends here: it has no more room\"]\n"));
	assert_string_equal(strchr(strstr(text, "\"m\""), '\n'), "\n");
}

static void test_where_nothing_can_be_written(void **state)
{
	_cleanup_close_ int fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	Cast cast = { .fd = fd, .left = CAST_LEAST };

	assert_int_equal(cast_begin(&cast, fd, CAST_LEAST, 0, &header), -ENOSPC);
	cast_output(&cast, 0, "x", 1);
	assert_int_equal(cast.fd, -EBADF);
}

static void put(int dir_fd, const char *name, time_t when, size_t n)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	const struct timespec times[2] = { { .tv_sec = when }, { .tv_sec = when } };

	assert_true(fd >= 0);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(write(fd, "x", 1), 1);
	assert_int_equal(futimens(fd, times), 0);
}

static void test_kept(void **state)
{
	_cleanup_free_ Recording *found = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	char folder[] = "/tmp/creel-test-XXXXXX";
	uint64_t used = 0;
	size_t n;

	assert_non_null(mkdtemp(folder));
	dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir_fd, "b.cast", 200, 10);
	put(dir_fd, "a.cast", 300, 5);
	put(dir_fd, "c.cast", 100, 1);
	put(dir_fd, "other", 1, 1);
	assert_int_equal(recordings_list(dir_fd, &found, &n), 0);
	assert_int_equal(n, 3);
	assert_string_equal(found[0].name, "c.cast");
	assert_string_equal(found[2].name, "a.cast");
	assert_int_equal(found[1].bytes, 10);
	assert_int_equal(recordings_prune(dir_fd, 200 * SECOND, &used), 0);
	assert_int_equal(faccessat(dir_fd, "c.cast", F_OK, 0), -1);
	assert_int_equal(faccessat(dir_fd, "other", F_OK, 0), 0);
	assert_int_equal(used, found[1].disk_bytes + found[2].disk_bytes);
	for (size_t i = 0; i < 4; i++)
		(void)unlinkat(dir_fd, ((const char *[]){ "a.cast", "b.cast", "c.cast", "other" })[i], 0);
	assert_int_equal(rmdir(folder), 0);
}

/* What a recorder reserved and did not need comes back when it is gone, also when it was killed. */
static void test_reserved(void **state)
{
	char folder[] = "/var/tmp/creel-recordings-XXXXXX";
	_cleanup_free_ Recording *found = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	int fd;
	uint64_t used = 0;
	size_t n;

	assert_non_null(mkdtemp(folder));
	dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	put(dir_fd, "a.cast", 300, 5);
	fd = openat(dir_fd, "a.cast", O_WRONLY | O_CLOEXEC);
	if (fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, 1 << 20) == 0) {
		const struct timespec times[] = { { .tv_sec = 300 }, { .tv_sec = 300 } };

		assert_int_equal(futimens(fd, times), 0);
		/* it is being written */
		assert_int_equal(flock(fd, LOCK_EX | LOCK_NB), 0);
		assert_int_equal(recordings_prune(dir_fd, 200 * SECOND, &used), 0);
		assert_true(used >= 1 << 20);
		assert_int_equal(close(fd), 0);
		assert_int_equal(recordings_prune(dir_fd, 200 * SECOND, &used), 0);
		assert_true(used < 1 << 20);
		assert_int_equal(recordings_list(dir_fd, &found, &n), 0);
		assert_int_equal(n, 1);
		assert_int_equal(found[0].bytes, 5);
		/* it does not become younger by that */
		assert_int_equal(found[0].changed_usec, 300 * SECOND);
	} else {
		assert_int_equal(close(fd), 0);
	}
	(void)unlinkat(dir_fd, "a.cast", 0);
	assert_int_equal(rmdir(folder), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_where_nothing_can_be_written),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_reserved),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Records for a journal that takes none: what waits, what is too much, and what is cut. */
#include "tests/unit/unit.h"

#include "shell/audit/record.h"

#include <string.h>

static int send_one(Record *record, bool important, size_t n)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	_cleanup_free_ char *text = malloc(n);

	assert_non_null(text);
	memset(text, 'x', n);
	record_begin(record, &entry, important);
	entry_bytes(&entry, "CREEL_COMMAND", text, n);
	return record_send(record, &entry);
}

static void test_waiting(void **state)
{
	_cleanup_(record_freep) Record *record = NULL;
	unsigned int n = 0;

	if (access(RECORD_SOCKET, F_OK) == 0)
		skip();
	assert_int_equal(record_new("test", &record), 0);
	assert_false(record_waits(record));
	while (n < 1000 && send_one(record, false, 10000) == 0)
		n++;
	/* as many as there is room for */
	assert_in_range(n, RECORD_WAITING_MAX / 10200, RECORD_WAITING_MAX / 10000);
	assert_int_equal(send_one(record, true, 10000), -ENOBUFS);
	assert_true(record_waits(record));
	record_flush(record);
	assert_true(record_waits(record));
}

static void test_bound(void **state)
{
	_cleanup_(record_freep) Record *record = NULL;
	unsigned int ordinary = 0, important = 0;

	if (access(RECORD_SOCKET, F_OK) == 0)
		skip();
	assert_int_equal(record_new("test", &record), 0);
	record_bound(record, &(RecordBudget){ .burst = 1024 * 1024, .day = 1 });
	while (ordinary < 10000 && send_one(record, false, 10000) == 0)
		ordinary++;
	assert_in_range(ordinary, 150, 200);
	assert_int_equal(send_one(record, false, 10), -EDQUOT);
	/* who came and what changed has a room of its own, and is short */
	while (important < 10000 && send_one(record, true, 10000) == 0)
		important++;
	assert_in_range(important, 599, 610);
	assert_int_equal(send_one(record, true, 10), -EDQUOT);
}

/* However often strangers knock, what the agent does is written down, and whole. */
static void test_strangers(void **state)
{
	_cleanup_(record_freep) Record *record = NULL;
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	unsigned int written = 0;

	if (access(RECORD_SOCKET, F_OK) == 0)
		skip();
	assert_int_equal(record_new("test", &record), 0);
	record_bound(record, &(RecordBudget){ .burst = 512 * 1024, .day = 1 });
	for (unsigned int i = 0; i < 10000; i++) {
		record_begin_of_strangers(&entry);
		entry_text(&entry, "CREEL_REASON", "no accepted key");
		written += record_send(record, &entry) == 0;
	}
	assert_in_range(written, 1000, 1010);
	record_begin(record, &entry, false);
	assert_int_equal(entry.most, 0);
	assert_int_equal(send_one(record, false, 100000), 0);
}

static void test_fields(void **state)
{
	_cleanup_(entry_done) RecordEntry entry = { .most = RECORD_SHORT };
	char text[1000];

	memset(text, 'y', sizeof(text));
	entry_bytes(&entry, "CREEL_CODE", text, sizeof(text));
	entry_text(&entry, "CREEL_COMMAND", "x --token hunter2");
	entry_text(&entry, "CREEL_LABEL", "two\nlines");
	assert_int_equal(entry.error, 0);
	assert_int_equal(entry.cut, 1);
	assert_int_equal(entry.redacted, 1);
	assert_null(memmem(entry.data, entry.n, "hunter2", 7));
	assert_non_null(memmem(entry.data, entry.n, "\nCREEL_COMMAND=x --token [redacted]\n", 36));
	assert_non_null(memmem(entry.data, entry.n, "\nCREEL_LABEL\n\x09\0\0\0\0\0\0\0two\nlines\n", 31));
	assert_int_equal(memcmp(entry.data + RECORD_SHORT + strlen("CREEL_CODE="), "\n", 1), 0);
}

/* A token that goes on behind the cut: none of it is left before the cut. */
static void test_cut_secret(void **state)
{
	_cleanup_(entry_done) RecordEntry entry = { .most = RECORD_SHORT };
	char text[1000];

	memset(text, ' ', sizeof(text));
	memcpy(text + RECORD_SHORT - 10, "ghp_0123456789abcdefABCD", 24);
	entry_bytes(&entry, "CREEL_CODE", text, sizeof(text));
	assert_int_equal(entry.error, 0);
	assert_int_equal(entry.redacted, 1);
	assert_int_equal(entry.cut, 1);
	assert_int_equal(entry.n, strlen("CREEL_CODE=") + RECORD_SHORT + 1);
	assert_null(memmem(entry.data, entry.n, "ghp_", 4));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_waiting), cmocka_unit_test(test_bound),
		cmocka_unit_test(test_strangers), cmocka_unit_test(test_fields), cmocka_unit_test(test_cut_secret) };

	return cmocka_run_group_tests_name("record-room", tests, NULL, NULL);
}

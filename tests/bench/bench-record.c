/* SPDX-License-Identifier: MIT */
/*
 * bench-record [A_SECOND [SECONDS]]: a flood of records beside a quiet agent's, in an agent VM, as root.
 *
 * Two processes write to the record as two keepers do, with a keeper's bound: `bench-flood` so many entries a second, at first as many as
 * its bound gives and then as many as are left over, `bench-quiet` fifty a second, each the size of a command's. Then the record is read:
 * what of either came, and what it says was lost. The entries stay in the record, under these two names; nothing else does.
 */
#include "shell/audit/read.h"
#include "shell/audit/record.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

#define QUIET_A_SECOND 50U
#define SAMPLES_MAX 100000U

typedef struct Side {
	char agent[32];
	uint64_t a_second, sent, failed, took_usec;
	size_t samples_n;
	uint32_t samples[SAMPLES_MAX]; /* microseconds of a call */
} Side;

typedef struct Found {
	const Side *side;
	uint64_t entries, lost;
} Found;

static void send_one(Record *record, Side *side)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	uint64_t began = clock_monotonic_usec();

	record_begin(record, &entry, false);
	entry_number(&entry, "PRIORITY", 6);
	entry_text(&entry, "CREEL_KIND", "command");
	entry_text(&entry, "CREEL_AGENT", side->agent);
	entry_number(&entry, "CREEL_UID", 59999);
	entry_text(&entry, "CREEL_SESSION", "0123456789abcdef");
	entry_format(&entry, "CREEL_COMMAND", "make -C /home/agent/workspace/project test-%llu CFLAGS='-O2 -g'",
		(unsigned long long)side->sent);
	entry_text(&entry, "CREEL_RESULT", "exit");
	entry_number(&entry, "CREEL_EXIT", 0);
	entry_number(&entry, "CREEL_DURATION_USEC", 123456);
	entry_text(&entry, "MESSAGE", "a record of bench-record");
	side->failed += record_send(record, &entry) < 0;
	side->sent++;
	if (side->samples_n < SAMPLES_MAX)
		side->samples[side->samples_n++] = (uint32_t)(clock_monotonic_usec() - began);
}

static void write_all(Side *side, uint64_t seconds)
{
	_cleanup_(record_freep) Record *record = NULL;
	const uint64_t began = clock_monotonic_usec(), end = began + seconds * 1000000;
	uint64_t now = began, flushed = began;

	if (record_new("bench-record", &record) < 0)
		exit(EXIT_FAILURE);
	record_bound(record, &(RecordBudget){ .burst = UINT64_C(64) << 20, .day = UINT64_C(16) << 20 });
	record_name(record, side->agent, 59999);
	while (now < end) {
		while (side->sent < (now - began) * side->a_second / 1000000 && now < end) {
			send_one(record, side);
			now = clock_monotonic_usec();
		}
		if (record_waits(record) && now - flushed > record_again_usec(record)) {
			record_flush(record);
			flushed = now;
		}
		(void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
		now = clock_monotonic_usec();
	}
	side->took_usec = now - began;
	/* a keeper goes on; what waits has a while */
	for (unsigned int i = 0; i < 10000 && record_waits(record); i++) {
		(void)nanosleep(&(struct timespec){ .tv_nsec = (long)record_again_usec(record) * 1000 }, NULL);
		record_flush(record);
	}
}

static int count(const RecordView *view, void *data)
{
	Found *found = data;
	uint64_t lost = 0;

	if (str_equal(view->values[RECORD_KIND], "command"))
		found->entries++;
	else if (view->values[RECORD_LOST] && str_to_u64(view->values[RECORD_LOST], UINT64_MAX, &lost) == 0)
		found->lost += lost;
	return 0;
}

static int by_size(const void *a, const void *b)
{
	return (*(const uint32_t *)a > *(const uint32_t *)b) - (*(const uint32_t *)a < *(const uint32_t *)b);
}

static void print_side(Side *side, uint64_t since_usec)
{
	const RecordFilter filter = {
		.agent = side->agent,
		.since_usec = since_usec,
		.count = UINT64_MAX,
		.front_uid = (uid_t)-1,
		.uid = (uid_t)-1,
	};
	Found found = { .side = side };

	if (record_read(&filter, count, &found) < 0)
		(void)fprintf(stderr, "bench-record: the record cannot be read\n");
	qsort(side->samples, side->samples_n, sizeof(side->samples[0]), by_size);
	(void)printf("%-12s %8llu sent, %6.0f a second; %8llu in the record, %8llu told as lost, %lld not accounted "
		     "for; a call: median "
		     "%u us, p99 %u us, longest %u us\n",
		side->agent, (unsigned long long)side->sent, (double)side->sent * 1e6 / (double)side->took_usec,
		(unsigned long long)found.entries, (unsigned long long)found.lost,
		(long long)side->sent - (long long)found.entries - (long long)found.lost,
		side->samples[side->samples_n / 2], side->samples[side->samples_n * 99 / 100],
		side->samples[side->samples_n - 1]);
}

int main(int argc, char **argv)
{
	Side *sides = mmap(NULL, 2 * sizeof(*sides), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	uint64_t rate = 10000, seconds = 60, since_usec = clock_realtime_usec(), before = 0, after = 0;

	if (sides == MAP_FAILED || (argc > 1 && str_to_u64(argv[1], 10000000, &rate) < 0) ||
		(argc > 2 && str_to_u64(argv[2], 86400, &seconds) < 0) || argc > 3 || !rate || !seconds) {
		(void)fprintf(stderr, "usage: bench-record [RECORDS A SECOND [SECONDS]]\n");
		return EXIT_FAILURE;
	}
	if (record_disk_use(&before) < 0)
		before = 0;
	for (size_t i = 0; i < 2; i++) {
		(void)snprintf(sides[i].agent, sizeof(sides[i].agent), "%s", i ? "bench-quiet" : "bench-flood");
		sides[i].a_second = i ? QUIET_A_SECOND : rate;
		if (fork() == 0) {
			write_all(&sides[i], seconds);
			_exit(EXIT_SUCCESS);
		}
	}
	while (wait(NULL) > 0)
		;
	if (record_disk_use(&after) < 0)
		after = before;
	for (size_t i = 0; i < 2; i++)
		if (sides[i].samples_n)
			print_side(&sides[i], since_usec);
	(void)printf("the record grew by %lld KiB\n", ((long long)after - (long long)before) / 1024);
	return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/* A program beside a loop: its status, its output within bounds, its end in time. */
#include "tests/unit/unit.h"

#include "shell/base/str.h"
#include "shell/tools/child.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define LONG UINT64_C(60000000)

typedef struct Seen {
	sd_event *event;
	int status;
	bool late, out_cut;
	char *out, *err;
	size_t out_n;
	unsigned int n;
} Seen;

static void on_end(void *userdata, const ChildEnd *end)
{
	Seen *seen = userdata;

	seen->n++;
	seen->status = end->status;
	seen->late = end->late;
	seen->out_cut = end->out_cut;
	seen->out_n = end->out_n;
	seen->out = end->out_n ? strndup(end->out, end->out_n) : strdup("");
	seen->err = end->err_n ? strndup(end->err, end->err_n) : strdup("");
	(void)sd_event_exit(seen->event, 0);
}

static void seen_done(Seen *seen)
{
	free(seen->out);
	free(seen->err);
	sd_event_unref(seen->event);
}

/* Runs it to its end; `stop`: it is asked to end at once. */
static void run(const char *script, uint64_t timeout_usec, bool stop, Seen *seen)
{
	char *argv[] = { (char *)"sh", (char *)"-c", (char *)script, NULL };
	Child *child = NULL;

	*seen = (Seen){ 0 };
	assert_int_equal(sd_event_new(&seen->event), 0);
	assert_int_equal(child_start(seen->event, "/bin/sh", argv, timeout_usec, on_end, seen, &child), 0);
	if (stop)
		child_stop(child);
	assert_int_equal(sd_event_loop(seen->event), 0);
	assert_int_equal(seen->n, 1);
	/* reaped: there is nobody to wait for */
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
}

static void test_status_and_output(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("echo out; echo err >&2; cat; exit 3", LONG, false, &seen);
	assert_int_equal(seen.status, 3);
	assert_string_equal(seen.out, "out\n");
	assert_string_equal(seen.err, "err\n");
	assert_false(seen.late || seen.out_cut);
}

static void test_signal(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("kill -SEGV $$", LONG, false, &seen);
	assert_int_equal(seen.status, 128 + SIGSEGV);
}

static void test_long_output_is_cut(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("head -c 3000000 /dev/zero | tr '\\0' x; echo end >&2", LONG, false, &seen);
	assert_int_equal(seen.status, 0);
	assert_true(seen.out_cut);
	assert_true(seen.out_n <= CHILD_OUTPUT_MAX && seen.out_n > CHILD_OUTPUT_MAX / 4);
	assert_string_equal(seen.err, "end\n");
}

/* A short piece that would fit again behind one that did not is left out as well. */
static void test_what_is_cut_has_no_hole(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("printf y; sleep 0.2; head -c 3000000 /dev/zero | tr '\\0' x; printf end", LONG, false, &seen);
	assert_true(seen.out_cut);
	assert_null(strstr(seen.out, "end"));
}

static void test_time_is_over(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("echo begun; exec sleep 600", 200000, false, &seen);
	assert_int_equal(seen.status, 128 + SIGTERM);
	assert_true(seen.late);
}

/* Also of what it started. */
static void test_it_is_asked_to_end(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("sleep 600 & wait", LONG, true, &seen);
	assert_int_equal(seen.status, 128 + SIGTERM);
	assert_false(seen.late);
}

/* What it leaves behind holds its output, and nobody waits for that. */
static void test_who_stays_is_not_waited_for(void **state)
{
	_cleanup_(seen_done) Seen seen = { 0 };

	run("setsid sleep 5 & echo done", LONG, false, &seen);
	assert_int_equal(seen.status, 0);
	assert_string_equal(seen.out, "done\n");
}

static void test_what_is_not_there(void **state)
{
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	char *argv[] = { (char *)"none", NULL };
	Child *child = NULL;
	Seen seen = { 0 };

	assert_int_equal(sd_event_new(&event), 0);
	assert_int_equal(child_start(event, "/nonexistent", argv, LONG, on_end, &seen, &child), -ENOENT);
	assert_null(child);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_status_and_output),
		cmocka_unit_test(test_signal),
		cmocka_unit_test(test_long_output_is_cut),
		cmocka_unit_test(test_what_is_cut_has_no_hole),
		cmocka_unit_test(test_time_is_over),
		cmocka_unit_test(test_it_is_asked_to_end),
		cmocka_unit_test(test_who_stays_is_not_waited_for),
		cmocka_unit_test(test_what_is_not_there),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

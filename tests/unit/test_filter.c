/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/confine/filter.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>

static const FilterRow rows[] = {
	FILTER_ALLOW(write, "test"),
	FILTER_ALLOW(exit_group, "test"),
	FILTER_ALLOW(fcntl, "one", FILTER_EQUAL(1, F_GETFL)),
	FILTER_ALLOW(fcntl, "another", FILTER_EQUAL(1, F_GETFD)),
	FILTER_ALLOW(mmap, "no code", FILTER_WITHOUT(2, PROT_EXEC)),
};

static void do_allowed(void)
{
	(void)!syscall(SYS_write, STDOUT_FILENO, "", 0);
	(void)syscall(SYS_fcntl, 0, F_GETFL);
	(void)syscall(SYS_fcntl, 0, F_GETFD);
	(void)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_getpid(void)
{
	(void)syscall(SYS_getpid);
}

static void do_other_fcntl(void)
{
	(void)syscall(SYS_fcntl, 0, F_SETFL, 0);
}

static void do_map_code(void)
{
	(void)syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void do_other_architecture(void)
{
	/* exit_group's number is another call's for 32-bit programs; x32 sets bit 30 */
	(void)syscall(SYS_write | 0x40000000, STDOUT_FILENO, "", 0);
}

static int run(const Filter *filter, void (*act)(void))
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };

		(void)setrlimit(RLIMIT_CORE, &none);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_apply(filter) < 0)
			_exit(1);
		act();
		(void)syscall(SYS_exit_group, 0); /* a sanitizer's _exit() does more */
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void test_allowed_and_killed(void **state)
{
	static void (*const forbidden[])(void) = { do_getpid, do_other_fcntl, do_map_code, do_other_architecture };
	Filter filter;

	assert_int_equal(filter_prepare(rows, ELEMENTSOF(rows), &filter), 0);
	assert_int_equal(run(&filter, do_allowed), 0);
	for (size_t i = 0; i < ELEMENTSOF(forbidden); i++) {
		int status = run(&filter, forbidden[i]);

		assert_true(WIFSIGNALED(status));
		assert_int_equal(WTERMSIG(status), SIGSYS);
	}
	filter_done(&filter);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_allowed_and_killed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

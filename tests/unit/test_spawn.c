/* SPDX-License-Identifier: MIT */
/* What a child gets from its parent, and what not. */
#include "tests/unit/unit.h"

#include "shell/base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

/* Runs /bin/sh, or what `request` names, to its end: what it wrote to both streams is in `said`, its exit status is returned. */
static int run(SpawnRequest request, const char *script, char *said, size_t size, pid_t *ret_pid)
{
	const char *arguments[] = { "sh", "-c", script, NULL };
	int ends[2], status;
	size_t n = 0;
	ssize_t k;
	pid_t pid;

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	request.program = request.program ? request.program : "/bin/sh";
	request.arguments = arguments;
	request.output_fd = request.error_fd = ends[1];
	assert_int_equal(spawn(&request, &pid), 0);
	(void)close(ends[1]);
	while ((k = read(ends[0], said + n, size - n - 1)) > 0)
		n += (size_t)k;
	said[n] = '\0';
	(void)close(ends[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	if (ret_pid)
		*ret_pid = pid;
	return WEXITSTATUS(status);
}

static void test_no_signal_is_blocked_or_ignored(void **state)
{
	unsigned long long blocked, ignored;
	sigset_t set, before;
	char said[256];

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	assert_int_equal(sigprocmask(SIG_BLOCK, &set, &before), 0);
	assert_true(signal(SIGPIPE, SIG_IGN) == SIG_DFL);
	assert_int_equal(run((SpawnRequest){ .input_fd = -EBADF }, "exec grep -E '^Sig(Blk|Ign):' /proc/self/status",
				 said, sizeof(said), NULL),
		0);
	(void)signal(SIGPIPE, SIG_DFL);
	assert_int_equal(sigprocmask(SIG_SETMASK, &before, NULL), 0);
	assert_int_equal(sscanf(said, "SigBlk: %llx SigIgn: %llx", &blocked, &ignored), 2);
	assert_int_equal(blocked, 0);
	/* 32 and 33 are the C library's own, which nobody can set by it */
	assert_int_equal(ignored & ~0x180000000ULL, 0);
}

static int group_of(bool own_group, pid_t *ret_pid)
{
	char said[64];

	assert_int_equal(run((SpawnRequest){ .input_fd = -EBADF, .own_group = own_group },
				 "read -r _ _ _ _ group _ </proc/self/stat; echo $group", said, sizeof(said), ret_pid),
		0);
	return atoi(said);
}

static void test_group(void **state)
{
	pid_t pid, group = group_of(true, &pid);

	assert_int_equal(group, pid);
	assert_int_equal(group_of(false, &pid), getpgrp());
}

static void test_input(void **state)
{
	char said[64];
	int ends[2];

	assert_int_equal(
		run((SpawnRequest){ .input_fd = -EBADF }, "readlink /proc/self/fd/0; cat", said, sizeof(said), NULL),
		0);
	assert_string_equal(said, "/dev/null\n");

	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(write(ends[1], "given", 5), 5);
	(void)close(ends[1]);
	assert_int_equal(run((SpawnRequest){ .input_fd = ends[0] }, "cat", said, sizeof(said), NULL), 0);
	(void)close(ends[0]);
	assert_string_equal(said, "given");
}

static void test_environment(void **state)
{
	char *given[] = { (char *)"CREEL_GIVEN=yes", NULL };
	char said[64];

	assert_int_equal(setenv("CREEL_OWN", "own", 1), 0);
	assert_int_equal(
		run((SpawnRequest){ .input_fd = -EBADF }, "echo $CREEL_OWN$CREEL_GIVEN", said, sizeof(said), NULL), 0);
	assert_string_equal(said, "own\n");
	assert_int_equal(run((SpawnRequest){ .input_fd = -EBADF, .environment = given }, "echo $CREEL_OWN$CREEL_GIVEN",
				 said, sizeof(said), NULL),
		0);
	assert_string_equal(said, "yes\n");
}

/* The two streams are told apart. */
static void test_streams(void **state)
{
	const char *const arguments[] = { "/bin/sh", "-c", "echo out; echo error >&2; exit 3", NULL };
	_cleanup_close_ int out_fd = memfd_create("out", MFD_CLOEXEC), error_fd = memfd_create("error", MFD_CLOEXEC);
	char said[64] = "";
	int status;
	pid_t pid;

	assert_int_equal(
		spawn(
			&(SpawnRequest){
				.arguments = arguments, .input_fd = -EBADF, .output_fd = out_fd, .error_fd = error_fd },
			&pid),
		0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(WEXITSTATUS(status), 3);
	assert_int_equal(pread(out_fd, said, sizeof(said), 0), 4);
	assert_memory_equal(said, "out\n", 4);
	assert_int_equal(pread(error_fd, said, sizeof(said), 0), 6);
	assert_memory_equal(said, "error\n", 6);
}

static void test_search(void **state)
{
	char said[64];

	assert_int_equal(run((SpawnRequest){ .program = "sh", .input_fd = -EBADF, .search = true }, "echo found", said,
				 sizeof(said), NULL),
		0);
	assert_string_equal(said, "found\n");
}

/* Also one that PATH would find, where nobody asked for that. Nothing is left to wait for. */
static void test_what_is_not_there(void **state)
{
	static const char *const none[] = { "/nonexistent", NULL }, *const sh[] = { "sh", NULL },
				 *const nowhere[] = { "creel-nowhere", NULL };
	SpawnRequest request = { .arguments = none, .input_fd = -EBADF, .output_fd = 1, .error_fd = 2 };
	pid_t pid = 42;

	assert_int_equal(chdir("/"), 0);
	assert_int_equal(spawn(&request, &pid), -ENOENT);
	request.arguments = sh;
	assert_int_equal(spawn(&request, &pid), -ENOENT);
	request.arguments = nowhere;
	request.search = true;
	assert_int_equal(spawn(&request, &pid), -ENOENT);
	assert_int_equal(waitpid(-1, NULL, WNOHANG), -1);
	assert_int_equal(errno, ECHILD);
}

static void test_what_may_not_be_executed(void **state)
{
	static const char *const arguments[] = { "/etc/passwd", NULL };
	pid_t pid;

	assert_int_equal(
		spawn(&(SpawnRequest){ .arguments = arguments, .input_fd = -EBADF, .output_fd = 1, .error_fd = 2 },
			&pid),
		-EACCES);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_signal_is_blocked_or_ignored),
		cmocka_unit_test(test_group),
		cmocka_unit_test(test_input),
		cmocka_unit_test(test_environment),
		cmocka_unit_test(test_streams),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_what_is_not_there),
		cmocka_unit_test(test_what_may_not_be_executed),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

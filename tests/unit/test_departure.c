/* SPDX-License-Identifier: MIT */
#include "sshd-sub/departure.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <unistd.h>

static bool is_open(int fd)
{
	return fcntl(fd, F_GETFD) >= 0;
}

static int some_fd(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static void hear(Departures *departures, WireType type, uint32_t number, int fd)
{
	LinkMessage message = { .header = { .type = type, .number = number }, .fds = { fd }, .n_fds = fd >= 0 };

	departures_hear(departures, &message);
	if (message.n_fds)
		fd_close(message.fds[0]); /* as link_message_free() does with what was not taken */
}

static void leave(Departures *departures, uint32_t number, int in_fd, int out_fd)
{
	int err_fd = -EBADF;

	departures_add(departures, number, (int *const[]){ &in_fd, &out_fd, &err_fd });
	assert_true(in_fd < 0 && out_fd < 0);
}

static void test_open_until_it_is_hung_up(void **state)
{
	static Departures departures;
	int in = some_fd(), out = some_fd(), terminal = some_fd();

	leave(&departures, 7, in, out);
	leave(&departures, 8, -EBADF, terminal);
	hear(&departures, WIRE_EXITED, 7, -1);
	hear(&departures, WIRE_CLOSED, 6, -1);
	assert_true(is_open(in) && is_open(out) && is_open(terminal));
	hear(&departures, WIRE_CLOSED, 7, -1);
	assert_true(!is_open(in) && !is_open(out) && is_open(terminal));
	hear(&departures, WIRE_CLOSED, 7, -1);
	hear(&departures, WIRE_CLOSED, 8, -1);
	assert_false(is_open(terminal));
	assert_int_equal(departures.n, 0);
}

/* The answer to a start that crossed the close: its descriptors are held, too; those for nobody are not. */
static void test_what_was_just_started(void **state)
{
	static Departures departures;
	int late = some_fd(), stray = some_fd();

	leave(&departures, 1, -EBADF, -EBADF);
	hear(&departures, WIRE_STARTED, 1, late);
	hear(&departures, WIRE_STARTED, 2, stray);
	assert_true(is_open(late) && !is_open(stray));
	hear(&departures, WIRE_CLOSED, 1, -1);
	assert_false(is_open(late));
}

static void test_the_oldest_goes_when_there_are_too_many(void **state)
{
	static Departures departures;
	int fds[ELEMENTSOF(departures.all) + 1];

	for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
		fds[i] = some_fd();
		leave(&departures, (uint32_t)i, fds[i], -EBADF);
	}
	assert_int_equal(departures.n, ELEMENTSOF(departures.all));
	assert_false(is_open(fds[0]));
	for (size_t i = 1; i < ELEMENTSOF(fds); i++) {
		assert_true(is_open(fds[i]));
		hear(&departures, WIRE_CLOSED, (uint32_t)i, -1);
		assert_false(is_open(fds[i]));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open_until_it_is_hung_up),
		cmocka_unit_test(test_what_was_just_started),
		cmocka_unit_test(test_the_oldest_goes_when_there_are_too_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

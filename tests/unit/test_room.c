/* SPDX-License-Identifier: MIT */
/* The keeper's memory: what callers leave unread, memfds that they keep open, and what only the kernel knows of. */
#include "tests/unit/unit.h"

#include "shell/bus/unread.h"
#include "shell/keeper/budget.h"
#include "shell/keeper/room.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

static void test_unread(void **state)
{
	static Unread unread;

	assert_true(unread_bytes(&unread, 5) == 0);
	for (unsigned int i = 1; i <= 3; i++)
		unread_add(&unread, i);
	assert_true(unread_bytes(&unread, 0) == 0);
	assert_true(unread_bytes(&unread, 1) == 3);
	assert_true(unread_bytes(&unread, 2) == 5);
	/* replies are not in the ring */
	assert_true(unread_bytes(&unread, 1000) == 6);
	for (unsigned int i = 0; i < UNREAD_MESSAGES; i++)
		unread_add(&unread, SIZE_MAX);
	assert_true(unread_bytes(&unread, 2 * UNREAD_MESSAGES) == UNREAD_MESSAGES * (uint64_t)UINT32_MAX);
}

/* ---- memfds ---- */

static int open_again(int fd, int flags)
{
	char path[32];
	int again;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	assert_true(again >= 0);
	return again;
}

static void lend(Budget *budget, int flags, int *ret_fd)
{
	int fd = memfd_create("test", MFD_CLOEXEC);

	assert_true(fd >= 0);
	*ret_fd = open_again(fd, flags);
	budget_lend(budget, fd);
}

/* Until nobody has one open, it counts; a mapping has it open. */
static void test_lent(void **state)
{
	static Budget budget = { .most = 1 << 20 };
	static int fds[BUDGET_LENT_MAX];
	void *mapped;

	for (size_t i = 0; i < ELEMENTSOF(fds); i++) {
		assert_int_equal(budget_may_lend(&budget, 1), 0);
		lend(&budget, i % 2 ? O_RDONLY : O_RDWR, &fds[i]);
	}
	assert_int_equal(budget_may_lend(&budget, 1), -ENOBUFS);
	assert_int_equal(ftruncate(fds[0], 4096), 0);
	mapped = mmap(NULL, 4096, PROT_READ, MAP_SHARED, fds[0], 0);
	assert_true(mapped != MAP_FAILED);
	fd_close(fds[0]);
	assert_int_equal(budget_may_lend(&budget, 1), -ENOBUFS);
	assert_int_equal(munmap(mapped, 4096), 0);
	assert_int_equal(budget_may_lend(&budget, 1), 0);
	for (size_t i = 1; i < ELEMENTSOF(fds); i++)
		fd_close(fds[i]);
	assert_int_equal(budget_may_lend(&budget, BUDGET_LENT_MAX), 0);
	assert_true(budget.n_lent == 0);
}

/* Emptied, it still is a memfd. */
static void test_results_are_lent(void **state)
{
	static Budget budget = { .most = 1000 };
	int fd = memfd_create("test", MFD_CLOEXEC), reader_fd;
	char byte;

	assert_true(fd >= 0);
	reader_fd = open_again(fd, O_RDONLY);
	assert_int_equal(write(fd, "x", 1), 1);
	budget_keep(&budget, NULL, fd, 1);
	assert_int_equal(pread(reader_fd, &byte, 1, 0), 1);
	assert_int_equal(budget_reserve(&budget, 1000), 0);
	assert_int_equal(pread(reader_fd, &byte, 1, 0), 0);
	assert_true(budget.n == 0 && budget.n_lent == 1);
	fd_close(reader_fd);
}

/* Few are not looked for before each run, and do not stay either. */
static void test_who_goes_leaves_none(void **state)
{
	static Budget budget = { .most = 1000 };
	int fds[2];

	lend(&budget, O_RDWR, &fds[0]);
	lend(&budget, O_RDWR, &fds[1]);
	fd_close(fds[0]);
	assert_int_equal(budget_may_lend(&budget, 1), 0);
	assert_true(budget.n_lent == 2);
	budget_forget(&budget, &fds);
	assert_true(budget.n_lent == 1);
	fd_close(fds[1]);
	budget_forget(&budget, &fds);
	assert_true(budget.n_lent == 0);
}

/* ---- the cgroup ---- */

static void put(int dir_fd, const char *name, const char *text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	fd_close(fd);
}

static void test_room(void **state)
{
	char path[] = "/tmp/creel-test-room-XXXXXX", command[64];
	int fd;

	assert_non_null(mkdtemp(path));
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(room_has(fd, UINT64_MAX));
	put(fd, "memory.max", "max\n");
	put(fd, "memory.current", "900\n");
	assert_true(room_has(fd, UINT64_MAX));
	put(fd, "memory.max", "1000\n");
	put(fd, "memory.stat", "anon 300\nfile 400\nshmem 50\n");
	assert_true(room_has(fd, 100));
	/* 350 of the cache can go */
	assert_true(room_has(fd, 450));
	assert_false(room_has(fd, 451));
	put(fd, "memory.current", "2000\n");
	assert_false(room_has(fd, 1));
	fd_close(fd);
	(void)snprintf(command, sizeof(command), "rm -r '%s'", path);
	assert_int_equal(system(command), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_unread),
		cmocka_unit_test(test_lent),
		cmocka_unit_test(test_results_are_lent),
		cmocka_unit_test(test_who_goes_leaves_none),
		cmocka_unit_test(test_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

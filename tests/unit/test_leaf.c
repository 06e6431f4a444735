/* SPDX-License-Identifier: MIT */
/* Leaf arithmetic on plain files with a cgroup's names: what is written as a limit, and how use is read. */
#include "tests/unit/unit.h"

#include "shell/base/file.h"
#include "shell/run/leaf.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

typedef struct Fixture {
	char path[32];
	int fd;
} Fixture;

static void put(const Fixture *fixture, const char *file, const char *text)
{
	int fd = openat(fixture->fd, file, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	assert_int_equal(close(fd), 0);
}

static int setup(void **state)
{
	static Fixture fixture;

	strcpy(fixture.path, "/tmp/creel-leaf-XXXXXX");
	if (!mkdtemp(fixture.path))
		return -1;
	fixture.fd = open(fixture.path, O_RDONLY | O_DIRECTORY);
	*state = &fixture;
	return fixture.fd < 0 ? -1 : 0;
}

static int teardown(void **state)
{
	static const char *const files[] = { "memory.max", "memory.peak", "memory.events", "cpu.stat", "pids.events",
		"cgroup.events", "cgroup.procs" };
	Fixture *fixture = *state;

	for (size_t i = 0; i < ELEMENTSOF(files); i++)
		(void)unlinkat(fixture->fd, files[i], 0);
	(void)close(fixture->fd);
	return rmdir(fixture->path);
}

static void test_numbers(void **state)
{
	Fixture *fixture = *state;
	uint64_t value = 5;

	put(fixture, "memory.max", "max\n");
	assert_int_equal(leaf_number(fixture->fd, "memory.max", &value), 0);
	assert_true(value == LEAF_UNLIMITED);
	put(fixture, "memory.max", "268435456\n");
	assert_int_equal(leaf_number(fixture->fd, "memory.max", &value), 0);
	assert_int_equal(value, 256 << 20);

	value = 5;
	put(fixture, "memory.max", "12x\n");
	assert_int_equal(leaf_number(fixture->fd, "memory.max", &value), -EINVAL);
	assert_int_equal(leaf_number(fixture->fd, "no.such", &value), -ENOENT);
	assert_int_equal(value, 5);
}

static void test_keyed(void **state)
{
	Fixture *fixture = *state;
	uint64_t value = 5;

	put(fixture, "cgroup.events", "populated 1\nfrozen 0\n");
	assert_int_equal(leaf_keyed(fixture->fd, "cgroup.events", "populated", &value), 0);
	assert_int_equal(value, 1);
	assert_int_equal(leaf_keyed(fixture->fd, "cgroup.events", "frozen", &value), 0);
	assert_int_equal(value, 0);
	assert_int_equal(leaf_keyed(fixture->fd, "cgroup.events", "pop", &value), -ENODATA);
	assert_int_equal(leaf_keyed(fixture->fd, "cgroup.events", "ulated", &value), -ENODATA);
}

static void test_usage(void **state)
{
	Fixture *fixture = *state;
	LeafUsage usage;

	leaf_usage(fixture->fd, &usage); /* a kernel that has none of the files: zeros */
	assert_int_equal(usage.cpu_usec + usage.memory_peak + usage.oom_kills + usage.tasks_refused, 0);

	put(fixture, "cpu.stat", "usage_usec 123456\nuser_usec 100000\nsystem_usec 23456\n");
	put(fixture, "memory.peak", "55402496\n");
	put(fixture, "memory.events", "low 0\nhigh 0\nmax 12\noom 2\noom_kill 1\noom_group_kill 0\n");
	put(fixture, "pids.events", "max 7\n");
	leaf_usage(fixture->fd, &usage);
	assert_int_equal(usage.cpu_usec, 123456);
	assert_int_equal(usage.memory_peak, 55402496);
	assert_int_equal(usage.oom_kills, 1);
	assert_int_equal(usage.tasks_refused, 7);
}

static void test_forks_refused(void **state)
{
	Fixture *fixture = *state;
	Fixture below = { .fd = -1 };

	assert_int_equal(leaf_forks_refused(fixture->fd), 0);
	put(fixture, "pids.events", "max 7\n");
	assert_int_equal(mkdirat(fixture->fd, "below", 0700), 0);
	below.fd = openat(fixture->fd, "below", O_RDONLY | O_DIRECTORY);
	put(&below, "pids.events", "max 5\n");
	assert_int_equal(leaf_forks_refused(fixture->fd), 12);
	assert_int_equal(leaf_forks_refused(fixture->fd), 12); /* it left the descriptor as it was */
	assert_int_equal(unlinkat(below.fd, "pids.events", 0), 0);
	assert_int_equal(close(below.fd), 0);
	assert_int_equal(unlinkat(fixture->fd, "below", AT_REMOVEDIR), 0);
	assert_int_equal(leaf_forks_refused(fixture->fd), 7);
}

static void test_has_process(void **state)
{
	Fixture *fixture = *state;

	put(fixture, "cgroup.procs", "12\n345\n");
	assert_true(leaf_has_process(fixture->fd, 12));
	assert_true(leaf_has_process(fixture->fd, 345));
	assert_false(leaf_has_process(fixture->fd, 34));
	assert_false(leaf_has_process(fixture->fd, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_numbers, setup, teardown),
		cmocka_unit_test_setup_teardown(test_keyed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_usage, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forks_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_has_process, setup, teardown),
	};

	return cmocka_run_group_tests_name("leaf", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* What an agent leaves in a shared folder, with a neighbour's things in it. As root: files get owners. */
#include "tests/unit/unit.h"

#include "shell/operator/leftovers.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#define AGENT 50001U
#define BOB 50002U

static char root[64];

static char *path_of(const char *below)
{
	char *path = str_format("%s/%s", root, below);

	assert_non_null(path);
	return path;
}

static void make_folder(const char *below, uid_t uid, mode_t mode)
{
	_cleanup_free_ char *path = path_of(below);

	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(chown(path, uid, uid), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static void make_file(const char *below, uid_t uid)
{
	_cleanup_free_ char *path = path_of(below);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, uid, uid), 0);
}

static void make_link(const char *below, const char *target, uid_t uid)
{
	_cleanup_free_ char *path = path_of(below);

	assert_int_equal(symlink(target, path), 0);
	assert_int_equal(lchown(path, uid, uid), 0);
}

/* Its owner; -1 when it is not there. */
static int owner_of(const char *below)
{
	_cleanup_free_ char *path = path_of(below);
	struct stat st;

	return lstat(path, &st) < 0 ? -1 : (int)st.st_uid;
}

static int set_up(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/creel-test-leftovers-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	_cleanup_free_ char *command = str_format("rm -rf '%s'", root);

	return command ? system(command) : -1;
}

static void test_own_things_go(void **state)
{
	_cleanup_free_ char *outside = path_of("outside/file");

	make_folder("outside", 0, 0700);
	make_file("outside/file", AGENT);
	make_folder("shared", 0, 01777);
	make_file("shared/file", AGENT);
	make_file("shared/bobs", BOB);
	make_link("shared/link", outside, AGENT);
	make_link("shared/folder-link", "../outside", AGENT);
	make_folder("shared/d", AGENT, 0);
	make_folder("shared/d/e", AGENT, 0700);
	make_file("shared/d/e/file", AGENT);
	make_folder("shared/b", BOB, 0700);
	make_file("shared/b/file", AGENT);
	make_link("shared/b/link", "../../outside", BOB);
	{
		_cleanup_free_ char *shared = path_of("shared"), *missing = path_of("missing");

		assert_int_equal(leftovers_remove(shared, AGENT), 0);
		assert_int_equal(leftovers_remove(missing, AGENT), 0);
	}
	assert_int_equal(owner_of("shared/file"), -1);
	assert_int_equal(owner_of("shared/link"), -1);
	assert_int_equal(owner_of("shared/folder-link"), -1);
	assert_int_equal(owner_of("shared/d"), -1);
	assert_int_equal(owner_of("shared/b/file"), -1);
	assert_int_equal(owner_of("shared/b"), BOB);
	assert_int_equal(owner_of("shared/b/link"), BOB);
	assert_int_equal(owner_of("shared/bobs"), BOB);
	/* no link was followed */
	assert_int_equal(owner_of("outside/file"), AGENT);
}

static void test_neighbours_file_stays_in_roots_folder(void **state)
{
	_cleanup_free_ char *shared = path_of("open"), *kept = path_of("open/d");
	struct stat st;

	make_folder("open", AGENT, 0777); /* the folder itself is never taken, whosever it is */
	make_folder("open/d", AGENT, 0777);
	make_file("open/d/file", AGENT);
	make_folder("open/d/e", AGENT, 0777);
	make_file("open/d/e/bobs", BOB);
	assert_int_equal(leftovers_remove(shared, AGENT), 0);
	assert_int_equal(owner_of("open"), AGENT);
	assert_int_equal(owner_of("open/d"), 0);
	assert_int_equal(owner_of("open/d/file"), -1);
	assert_int_equal(owner_of("open/d/e"), 0);
	assert_int_equal(owner_of("open/d/e/bobs"), BOB);
	assert_int_equal(stat(kept, &st), 0);
	assert_int_equal(st.st_mode & 07777, 01777);
	/* again: there is nothing of the agent's */
	assert_int_equal(leftovers_remove(shared, AGENT), 0);
	assert_int_equal(owner_of("open/d/e/bobs"), BOB);
}

/* Deeper than any path may be long, and than descriptors last. */
static void test_depth(void **state)
{
	_cleanup_free_ char *shared = path_of("deep");
	_cleanup_close_ int fd = -EBADF;
	char name[201];

	memset(name, 'd', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	make_folder("deep", 0, 01777);
	fd = open(shared, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	for (int i = 0; i < 3000; i++) {
		int next;

		assert_true(fd >= 0);
		assert_int_equal(mkdirat(fd, name, 0777), 0);
		next = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		assert_int_equal(fchown(next, AGENT, AGENT), 0);
		fd_close(fd);
		fd = next;
	}
	assert_int_equal(leftovers_remove(shared, AGENT), 0);
	assert_int_equal(rmdir(shared), 0);
}

static _Atomic bool stop;

/* The neighbour moves a folder of its own between two others as fast as it can. */
static void *move_about(void *unused)
{
	_cleanup_free_ char *here = path_of("race/x/moving"), *there = path_of("race/y/moving");

	while (!stop) {
		(void)rename(here, there);
		(void)rename(there, here);
	}
	return NULL;
}

/* Whatever others do meanwhile, all the rest goes, and it ends. */
static void test_neighbour_moves_things(void **state)
{
	_cleanup_free_ char *shared = path_of("race");
	pthread_t thread;
	int r;

	make_folder("race", 0, 01777);
	make_folder("race/x", BOB, 0777);
	make_folder("race/y", BOB, 0777);
	make_folder("race/x/moving", BOB, 0777);
	for (int i = 0; i < 200; i++) {
		char name[48];

		(void)snprintf(name, sizeof(name), "race/x/moving/%d", i);
		make_file(name, AGENT);
		(void)snprintf(name, sizeof(name), "race/%d", i);
		make_folder(name, AGENT, 0777);
	}
	stop = false;
	assert_int_equal(pthread_create(&thread, NULL, move_about, NULL), 0);
	r = leftovers_remove(shared, AGENT);
	stop = true;
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_true(r == 0 || r == -EAGAIN);
	for (int i = 0; i < 200; i++) {
		char name[48];

		(void)snprintf(name, sizeof(name), "race/%d", i);
		assert_int_equal(owner_of(name), -1);
	}
	/* and when it stops, nothing is left */
	assert_int_equal(leftovers_remove(shared, AGENT), 0);
	for (int i = 0; i < 200; i++) {
		char name[48];

		(void)snprintf(name, sizeof(name), "race/x/moving/%d", i);
		assert_int_equal(owner_of(name), -1);
		(void)snprintf(name, sizeof(name), "race/y/moving/%d", i);
		assert_int_equal(owner_of(name), -1);
	}
}

/* Without root there is nobody to give files to. */
#define NEEDS_ROOT(test)                      \
	static void root_##test(void **state) \
	{                                     \
		if (geteuid() != 0)           \
			skip();               \
		test(state);                  \
	}
NEEDS_ROOT(test_own_things_go)
NEEDS_ROOT(test_neighbours_file_stays_in_roots_folder)
NEEDS_ROOT(test_depth)
NEEDS_ROOT(test_neighbour_moves_things)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(root_test_own_things_go),
		cmocka_unit_test(root_test_neighbours_file_stays_in_roots_folder),
		cmocka_unit_test(root_test_depth),
		cmocka_unit_test(root_test_neighbour_moves_things),
	};

	return cmocka_run_group_tests_name("leftovers", tests, set_up, tear_down);
}

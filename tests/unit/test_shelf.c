/* SPDX-License-Identifier: MIT */
/* What was fetched becomes root's, and nothing but files and folders is taken. As root: files get owners. */
#include "tests/unit/unit.h"

#include "shell/operator/packages.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define STRANGER 50001U
#define AGENT 50002U

static char root[64];

static char *path_of(const char *below)
{
	char *path = str_format("%s/%s", root, below);

	assert_non_null(path);
	return path;
}

static void make_file(const char *below, mode_t mode)
{
	_cleanup_free_ char *path = path_of(below);
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(fchown(fd, STRANGER, STRANGER), 0);
	assert_int_equal(fchmod(fd, mode), 0);
}

static void make_folder(const char *below)
{
	_cleanup_free_ char *path = path_of(below);

	assert_int_equal(mkdir(path, 0777), 0);
	assert_int_equal(chown(path, STRANGER, STRANGER), 0);
}

static int take(void)
{
	_cleanup_close_ int fd = open(root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(fd >= 0);
	return packages_take(fd, AGENT);
}

static int set_up(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/creel-test-shelf-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	_cleanup_free_ char *command = str_format("rm -rf '%s'", root);

	return command ? system(command) : -1;
}

static void test_taken(void **state)
{
	static const struct {
		const char *below;
		mode_t mode;
	} expected[] = { { "", S_IFDIR | 0750 }, { "folder", S_IFDIR | 0750 }, { "folder/below", S_IFDIR | 0750 },
		{ "a.whl", S_IFREG | 0640 }, { "folder/below/set", S_IFREG | 0640 } };

	make_folder("folder");
	make_folder("folder/below");
	make_file("a.whl", 0600);
	make_file("folder/below/set", 06777);
	assert_int_equal(take(), 0);
	for (size_t i = 0; i < ELEMENTSOF(expected); i++) {
		_cleanup_free_ char *path = path_of(expected[i].below);
		struct stat st;

		assert_int_equal(lstat(path, &st), 0);
		assert_int_equal(st.st_mode, expected[i].mode);
		assert_int_equal(st.st_uid, 0);
		assert_int_equal(st.st_gid, AGENT);
	}
}

/* A second name could be outside of the folder, or somebody's who could write to it before. */
static void test_refused(void **state)
{
	_cleanup_free_ char *odd = path_of("odd"), *plain = path_of("plain");

	make_file("plain", 0600);
	assert_int_equal(symlink("/etc/passwd", odd), 0);
	assert_int_equal(take(), -ELOOP);
	assert_int_equal(unlink(odd), 0);
	assert_int_equal(mkfifo(odd, 0666), 0);
	assert_int_equal(take(), -ELOOP);
	assert_int_equal(unlink(odd), 0);
	assert_int_equal(link(plain, odd), 0);
	assert_int_equal(take(), -ELOOP);
	assert_int_equal(unlink(odd), 0);
	assert_int_equal(take(), 0);
}

static void test_deep(void **state)
{
	char below[128] = "";

	for (int i = 0; i < 18; i++) {
		(void)strcat(below, i ? "/d" : "d");
		make_folder(below);
	}
	assert_int_equal(take(), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_taken, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refused, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_deep, set_up, tear_down),
	};

	return cmocka_run_group_tests_name("shelf", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "shell/jobs/screens.h"
#include "tests/unit/unit.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void test_screens(void **state)
{
	static const char text[] =
		"There are screens on:\r\n"
		"\t1234.work\t(02/22/26 13:05:00)\t(Detached)\r\n"
		"\t99.a.b\t(Attached)\n"
		"\t7.gone\t(02/22/26 13:05:00)\t(Dead ?\?\?)\n"
		"\t.x\t(Detached)\n\t12.\t(Detached)\n\t12345678901.x\t(Detached)\n\tx.y\t(Detached)\n"
		"Remove dead screens with 'screen -wipe'.\n3 Sockets in /run/screen/S-agent.\n";
	_cleanup_screens_ Screens screens = { 0 }, none = { 0 };
	Reason reason;

	assert_int_equal(screens_parse("No Sockets found in /run/screen/S-agent.\n\n", &none), 0);
	assert_int_equal(none.n, 0);
	assert_int_equal(screens_parse(text, &screens), 0);
	assert_int_equal(screens.n, 3);
	assert_string_equal(screens.items[0].name, "work");
	assert_int_equal(screens.items[0].pid, 1234);
	assert_int_equal(screens.items[0].state, SCREEN_DETACHED);
	assert_string_equal(screens.items[1].name, "a.b");
	assert_string_equal(screens.items[1].socket, "99.a.b");
	assert_int_equal(screens.items[1].state, SCREEN_ATTACHED);
	assert_int_equal(screens.items[2].state, SCREEN_DEAD);
	assert_ptr_equal(screens_find(&screens, "work", &reason), &screens.items[0]);
	assert_ptr_equal(screens_find(&screens, "99", &reason), &screens.items[1]);
	assert_ptr_equal(screens_find(&screens, "7.gone", &reason), &screens.items[2]);
	assert_null(screens_find(&screens, "wor", &reason));
}

/* One that was there before is not taken for the one that was started, also of the same name. */
static void test_screens_that_come(void **state)
{
	char folder[] = "/tmp/creel-screens-XXXXXX";
	_cleanup_close_ int folder_fd = -EBADF;
	_cleanup_screens_ Screens before = { 0 }, after = { 0 };
	const char *name;
	pid_t pid;

	assert_int_equal(screen_socket_parse("17.a.b", &pid, &name), 0);
	assert_int_equal(pid, 17);
	assert_string_equal(name, "a.b");
	assert_int_equal(screen_socket_parse("x", &pid, &name), -EINVAL);
	assert_int_equal(screen_socket_parse(".a", &pid, &name), -EINVAL);
	assert_int_equal(screen_socket_parse("x7.a", &pid, &name), -EINVAL);
	assert_int_equal(screen_socket_parse("99999999999999999.a", &pid, &name), -EINVAL);

	assert_non_null(mkdtemp(folder));
	assert_int_equal(setenv("SCREENDIR", folder, 1), 0);
	folder_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(folder_fd >= 0);
	fd_close(openat(folder_fd, "17.web", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	fd_close(openat(folder_fd, "18.web2", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(screens_parse("\t17.web\t(Dead ?\?\?)\n", &before), 0);
	assert_int_equal(screens_came("web", &before, &after), 0);
	fd_close(openat(folder_fd, "19.web", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	assert_int_equal(screens_came("web", &before, &after), 1);
	assert_int_equal(after.n, 1);
	assert_int_equal(after.items[0].pid, 19);
	assert_string_equal(after.items[0].socket, "19.web");
	assert_int_equal(unlinkat(folder_fd, "17.web", 0), 0);
	assert_int_equal(unlinkat(folder_fd, "18.web2", 0), 0);
	assert_int_equal(unlinkat(folder_fd, "19.web", 0), 0);
	assert_int_equal(rmdir(folder), 0);
	assert_int_equal(unsetenv("SCREENDIR"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_screens),
		cmocka_unit_test(test_screens_that_come),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

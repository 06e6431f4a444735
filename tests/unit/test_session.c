/* SPDX-License-Identifier: MIT */
/* Environment and terminal modes: what a client may ask for, and what it may not. */
#include "tests/unit/unit.h"

#include "shell/session/environment.h"
#include "shell/session/terminal.h"

#include <string.h>

static char *const no_environment[] = { NULL };
static const Identity identity = { .uid = 1000, .gid = 1000, .name = (char *)"agent", .home = (char *)"/home/agent" };

static char *names[] = { (char *)"LANG", (char *)"LC_*", (char *)"TZ", (char *)"GIT_PROTOCOL" };
static const StrList accepted = { .items = names, .n = 4 };

static EnvironmentRequest request_of(char *const *asked, const char *tty)
{
	return (EnvironmentRequest){ .shell = "/bin/bash",
		.peer = "192.0.2.1 4000 192.0.2.2 22",
		.session = "7",
		.term = "xterm",
		.tty = tty,
		.accepted = &accepted,
		.asked = asked };
}

static void test_every_login_has(void **state)
{
	EnvironmentRequest request = request_of(no_environment, NULL);
	StrList list = { 0 };

	assert_int_equal(environment_build(&identity, &request, &list), 0);
	assert_true(strlist_contains(&list, "HOME=/home/agent"));
	assert_true(strlist_contains(&list, "USER=agent"));
	assert_true(strlist_contains(&list, "LOGNAME=agent"));
	assert_true(strlist_contains(&list, "SHELL=/bin/bash"));
	assert_true(strlist_contains(&list, "LANG=C.UTF-8"));
	assert_true(strlist_contains(&list, "XDG_RUNTIME_DIR=/run/user/1000"));
	assert_true(strlist_contains(&list, "DBUS_SESSION_BUS_ADDRESS=unix:path=/run/user/1000/bus"));
	assert_true(strlist_contains(&list, "CREEL_SESSION=7"));
	assert_false(strlist_contains(&list, "TERM=xterm")); /* no pty */
	strlist_done(&list);
}

static void test_asked(void **state)
{
	char *const asked[] = { (char *)"LANG=de_DE.UTF-8", (char *)"LC_ALL=C", (char *)"LD_PRELOAD=/tmp/x.so",
		(char *)"PATH=/tmp", (char *)"HOME=/root", (char *)"LC_=x", (char *)"BASH_ENV=/tmp/x", (char *)"=x",
		(char *)"LANG", (char *)"GIT_PROTOCOL=version=2", (char *)"TZ=a\nb", NULL };
	EnvironmentRequest request = request_of(asked, "/dev/pts/3");
	StrList list = { 0 };

	assert_int_equal(environment_build(&identity, &request, &list), 0);
	assert_true(strlist_contains(&list, "LANG=de_DE.UTF-8"));
	assert_false(strlist_contains(&list, "LANG=C.UTF-8")); /* replaced, not doubled */
	assert_true(strlist_contains(&list, "LC_ALL=C"));
	assert_true(strlist_contains(&list, "GIT_PROTOCOL=version=2"));
	assert_true(strlist_contains(&list, "TERM=xterm"));
	assert_true(strlist_contains(&list, "SSH_TTY=/dev/pts/3"));
	assert_true(strlist_contains(&list, "HOME=/home/agent"));
	for (size_t i = 0; i < list.n; i++) {
		assert_int_not_equal(strncmp(list.items[i], "LD_", 3), 0);
		assert_int_not_equal(strncmp(list.items[i], "BASH_ENV", 8), 0);
		assert_int_not_equal(strncmp(list.items[i], "TZ=", 3), 0);
		assert_int_not_equal(strcmp(list.items[i], "PATH=/tmp"), 0);
	}
	strlist_done(&list);
}

/* Who wrote the key's line has the last word. */
static void test_of_the_key(void **state)
{
	char *const asked[] = { (char *)"TZ=UTC", (char *)"LC_ALL=C", NULL };
	char *const key[] = { (char *)"TZ=Europe/Berlin", (char *)"PATH=/tmp", NULL };
	EnvironmentRequest request = request_of(asked, NULL);
	StrList list = { 0 };

	request.key = key;
	assert_int_equal(environment_build(&identity, &request, &list), 0);
	assert_true(strlist_contains(&list, "TZ=Europe/Berlin"));
	assert_false(strlist_contains(&list, "TZ=UTC"));
	assert_true(strlist_contains(&list, "LC_ALL=C"));
	assert_false(strlist_contains(&list, "PATH=/tmp"));
	strlist_done(&list);
}

/* What the policy says of packages; without one, nothing. */
static void test_packages(void **state)
{
	Policy policy = { .name = (char *)"agent", .pip_install = PACKAGES_NO, .npm_install = PACKAGES_YES };
	EnvironmentRequest request = request_of(no_environment, NULL);
	StrList without = { 0 }, with = { 0 };

	assert_int_equal(environment_build(&identity, &request, &without), 0);
	request.policy = &policy;
	assert_int_equal(environment_build(&identity, &request, &with), 0);
	assert_true(strlist_contains(&with, "PIP_NO_INDEX=1"));
	assert_false(strlist_contains(&without, "PIP_NO_INDEX=1"));
	assert_false(strlist_contains(&with, "npm_config_offline=true"));
	strlist_done(&without);
	strlist_done(&with);
}

static void test_accepted(void **state)
{
	static const StrList none = { 0 };

	assert_true(environment_accepted(&accepted, "LC_A1=x"));
	assert_true(environment_accepted(&accepted, "TZ="));
	assert_false(environment_accepted(&accepted, "TZX=UTC"));
	assert_false(environment_accepted(&accepted, "T=UTC"));
	assert_false(environment_accepted(&accepted, "LC=x"));
	assert_false(environment_accepted(&accepted, "LC_A-B=x"));
	assert_false(environment_accepted(&accepted, "LC_A B=x"));
	assert_false(environment_accepted(&accepted, "LC_ALL=a\x1b[m"));
	assert_false(environment_accepted(&none, "LANG=C"));
}

static void test_modes(void **state)
{
	static const uint8_t modes[] = { 1, 0, 0, 0, 7, /* VINTR = ^G */ 53, 0, 0, 0, 0, /* ECHO off */
		2, 0, 0, 0, 255, /* VQUIT none */ 0 };
	struct termios tio = { .c_lflag = ECHO | ICANON };

	terminal_modes(modes, sizeof(modes), &tio);
	assert_int_equal(tio.c_cc[VINTR], 7);
	assert_int_equal(tio.c_cc[VQUIT], _POSIX_VDISABLE);
	assert_int_equal(tio.c_lflag & (ECHO | ICANON), ICANON);
}

static void test_modes_cut(void **state)
{
	static const uint8_t modes[] = { 53, 0, 0, 0, 0, 1, 0, 0 };
	static const uint8_t unknown[] = { 200, 0, 0, 0, 0, 53, 0, 0, 0, 0 };
	struct termios tio = { .c_lflag = ECHO };

	for (size_t n = 0; n < 5; n++) {
		terminal_modes(modes, n, &tio);
		assert_int_equal(tio.c_lflag, ECHO);
	}
	terminal_modes(unknown, sizeof(unknown), &tio);
	assert_int_equal(tio.c_lflag, ECHO); /* opcodes from 160 on end the reading */
	terminal_modes(modes, sizeof(modes), &tio);
	assert_int_equal(tio.c_lflag, 0);
	assert_int_equal(tio.c_cc[VINTR], 0); /* the half argument changed nothing */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_every_login_has),
		cmocka_unit_test(test_asked),
		cmocka_unit_test(test_of_the_key),
		cmocka_unit_test(test_packages),
		cmocka_unit_test(test_accepted),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_modes_cut),
	};

	return cmocka_run_group_tests_name("session", tests, NULL, NULL);
}

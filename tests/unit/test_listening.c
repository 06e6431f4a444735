/* SPDX-License-Identifier: MIT */
/* Who listens on a port, with real sockets on loopback. */
#include "tests/unit/unit.h"

#include "shell/base/str.h"
#include "shell/run/listening.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define OTHER_UID 65534

static struct sockaddr_storage place(const char *host, uint16_t port)
{
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *in = (struct sockaddr_in *)&address;
	struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)&address;

	if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
		in->sin_family = AF_INET;
		in->sin_port = htons(port);
	} else {
		assert_int_equal(inet_pton(AF_INET6, host, &in6->sin6_addr), 1);
		in6->sin6_family = AF_INET6;
		in6->sin6_port = htons(port);
	}
	return address;
}

/* A listening socket; `port` 0 is chosen by the kernel. */
static int open_at(const char *host, uint16_t *port)
{
	struct sockaddr_storage address = place(host, *port);
	socklen_t n = sizeof(address);
	int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	if (bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 1) < 0) {
		(void)close(fd);
		return -1;
	}
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	*port = ntohs(((struct sockaddr_in *)&address)->sin_port); /* at the same place for both families */
	return fd;
}

static int owner(const char *host, uint16_t port, uid_t *ret)
{
	struct sockaddr_storage address = place(host, port);

	return listening_uid(&address, ret);
}

/* The same, of another user, in a process that waits to be killed. */
static pid_t other_at(const char *host, uint16_t *port)
{
	int pair[2];
	pid_t pid;

	assert_int_equal(pipe(pair), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (setuid(OTHER_UID) < 0 || open_at(host, port) < 0 ||
			write(pair[1], port, sizeof(*port)) != sizeof(*port))
			_exit(1);
		(void)pause();
		_exit(0);
	}
	(void)close(pair[1]);
	assert_int_equal(read(pair[0], port, sizeof(*port)), sizeof(*port));
	(void)close(pair[0]);
	return pid;
}

static void end(pid_t pid)
{
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static void test_where(void **state)
{
	static const struct {
		const char *listens, *asked;
		bool found;
	} rows[] = {
		{ "127.0.0.1", "127.0.0.1", true },
		{ "127.0.0.1", "127.0.0.2", false },
		{ "127.0.0.1", "::1", false },
		{ "127.0.0.2", "127.0.0.2", true },
		{ "0.0.0.0", "127.0.0.1", true },
		{ "0.0.0.0", "::1", false },
		{ "::1", "::1", true },
		{ "::1", "127.0.0.1", false },
		{ "::", "::1", true },
		{ "::", "127.0.0.1", true },
		{ "::ffff:127.0.0.1", "127.0.0.1", true },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		uint16_t port = 0;
		int fd = open_at(rows[i].listens, &port);
		uid_t uid = 12345;

		assert_true(fd >= 0);
		if (rows[i].found) {
			assert_int_equal(owner(rows[i].asked, port, &uid), 0);
			assert_int_equal(uid, geteuid());
		} else {
			assert_int_equal(owner(rows[i].asked, port, &uid), -ENOENT);
			assert_int_equal(uid, 12345);
		}
		(void)close(fd);
		assert_int_equal(owner(rows[i].asked, port, &uid), -ENOENT);
	}
}

static void test_only_who_listens(void **state)
{
	struct sockaddr_storage address = place("127.0.0.1", 0);
	socklen_t n = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	uint16_t port = 0;
	uid_t uid = 12345;
	int listener, client;

	/* bound is not listening */
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &n), 0);
	assert_int_equal(listening_uid(&address, &uid), -ENOENT);
	(void)close(fd);

	/* connections of a listener that went are no listeners */
	listener = open_at("127.0.0.1", &port);
	address = place("127.0.0.1", port);
	client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(struct sockaddr_in)), 0);
	fd = accept(listener, NULL, NULL);
	assert_true(fd >= 0);
	assert_int_equal(owner("127.0.0.1", port, &uid), 0);
	(void)close(listener);
	assert_int_equal(owner("127.0.0.1", port, &uid), -ENOENT);
	(void)close(fd);
	(void)close(client);

	address.ss_family = AF_UNIX;
	assert_int_equal(listening_uid(&address, &uid), -EAFNOSUPPORT);
}

static void test_of_others(void **state)
{
	uint16_t port = 0;
	uid_t uid = 12345;
	pid_t pid;
	int fd;

	if (geteuid() != 0) {
		print_message("not root: nobody else's socket can be made\n");
		skip();
	}
	pid = other_at("127.0.0.1", &port);
	assert_int_equal(owner("127.0.0.1", port, &uid), 0);
	assert_int_equal(uid, OTHER_UID);
	/* ours beside it, on another address: each is found by its own */
	fd = open_at("127.0.0.2", &port);
	assert_true(fd >= 0);
	assert_int_equal(owner("127.0.0.2", port, &uid), 0);
	assert_int_equal(uid, 0);
	assert_int_equal(owner("127.0.0.1", port, &uid), 0);
	assert_int_equal(uid, OTHER_UID);
	(void)close(fd);
	end(pid);
	assert_int_equal(owner("127.0.0.1", port, &uid), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_only_who_listens),
		cmocka_unit_test(test_of_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

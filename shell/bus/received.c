/* SPDX-License-Identifier: MIT */
#include "shell/bus/received.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define WATCHED_MAX 64U /* the front's and the agent's: server.h */
#define NUMBERS 2048    /* at the top of the table: RECEIVED_OPEN_MAX for each */
#define TABLE_MAX 8192

static int watched[WATCHED_MAX]; /* sockets; 0: free */
static int owners[NUMBERS];      /* socket that number first + i came from; 0: none */
static int first;                /* of the numbers */

static int find_first(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < 2 * (rlim_t)NUMBERS)
		return -EMFILE;
	return (limit.rlim_cur < TABLE_MAX ? (int)limit.rlim_cur : TABLE_MAX) - NUMBERS;
}

static bool is_watched(int socket_fd)
{
	for (size_t i = 0; i < WATCHED_MAX; i++)
		if (watched[i] == socket_fd)
			return true;
	return false;
}

int received_watch(int socket_fd)
{
	if (!first) {
		int r = find_first();

		if (r < 0)
			return r;
		first = r;
	}
	for (size_t i = 0; i < WATCHED_MAX; i++)
		if (!watched[i]) {
			watched[i] = socket_fd;
			return 0;
		}
	return -ENOSPC;
}

/* Lower numbers are free, so that nothing but what was received can lie above. */
static bool table_has_room(void)
{
	int fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	bool room = fd >= 0 && fd < first;

	fd_close(fd);
	return room;
}

void received_forget(int socket_fd)
{
	bool room = table_has_room();

	for (size_t i = 0; i < WATCHED_MAX; i++)
		if (watched[i] == socket_fd)
			watched[i] = 0;
	for (int i = 0; i < NUMBERS; i++)
		if (owners[i] == socket_fd) {
			owners[i] = 0;
			/* closed before, as most are, it is nobody else's by now */
			if (room)
				(void)close(first + i);
		}
}

static unsigned int count_open(int socket_fd)
{
	unsigned int n = 0;

	for (int i = 0; i < NUMBERS; i++)
		if (owners[i] == socket_fd && fcntl(first + i, F_GETFD) >= 0)
			n++;
	return n;
}

/*
 * The last close of a connection may wait for its other end, as long as SO_LINGER says (socket(7)): the agent's may be this
 * process's. Dissolved, it has nothing to wait for. Nobody here has a use for a socket that is none of this machine's.
 */
static bool is_refused(int fd)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	int domain;
	socklen_t n = sizeof(domain);

	if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &n) < 0 || domain == AF_UNIX)
		return false;
	(void)connect(fd, &nowhere, sizeof(nowhere));
	return true;
}

/* Moves one to the top. Takes `fd`. */
static int move_up(int socket_fd, int fd)
{
	int moved = -EMFILE;

	if (is_refused(fd))
		fd = fd_close(fd);
	else if (fd < first && count_open(socket_fd) < RECEIVED_OPEN_MAX)
		moved = fcntl(fd, F_DUPFD_CLOEXEC, first);
	fd_close(fd);
	if (moved >= first + NUMBERS) {
		fd_close(moved);
		return -EMFILE;
	}
	if (moved >= 0)
		owners[moved - first] = socket_fd;
	return moved < 0 ? -EMFILE : moved;
}

/* All of a message's, or none: what did not fit closes the rest, and breaks the connection. */
static int move_all(int socket_fd, struct msghdr *message)
{
	int result = 0;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(message); c; c = CMSG_NXTHDR(message, c)) {
		size_t n = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);

		if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
			continue;
		for (size_t i = 0; i < n; i++) {
			unsigned char *place = CMSG_DATA(c) + i * sizeof(int);
			int fd;

			memcpy(&fd, place, sizeof(fd));
			fd = move_up(socket_fd, fd);
			if (fd < 0)
				result = -ECONNRESET;
			memcpy(place, &fd, sizeof(fd));
		}
	}
	return result;
}

/* In libc's place, for libsystemd and everybody else in this program. */
__attribute__((visibility("default"))) ssize_t recvmsg(int fd, struct msghdr *message, int flags)
{
	ssize_t n = syscall(SYS_recvmsg, fd, message, flags);

	if (n < 0 || !message->msg_controllen || !is_watched(fd))
		return n;
	if (move_all(fd, message) < 0) {
		errno = ECONNRESET; /* what was moved already goes with the connection */
		return -1;
	}
	return n;
}

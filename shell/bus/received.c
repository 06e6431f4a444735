/* SPDX-License-Identifier: MIT */
#include "shell/bus/received.h"

#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#define WATCHED_MAX 64 /* the front's and the agent's: server.h */
#define NUMBERS 2048   /* at the top of the table: RECEIVED_OPEN_MAX for each */
#define TABLE_MAX 8192

static int watched[WATCHED_MAX]; /* by ticket: the socket's number; FREE; or CLOSED, and not forgotten yet */
static int owners[NUMBERS];      /* the ticket that number first + i came by; 0: none */
static int first;                /* of the numbers */

#define FREE 0
#define CLOSED (-1)

static int find_first(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	if (limit.rlim_cur < 2 * (rlim_t)NUMBERS)
		return -EMFILE;
	return (limit.rlim_cur < TABLE_MAX ? (int)limit.rlim_cur : TABLE_MAX) - NUMBERS;
}

/* 0: not watched. */
static int ticket_of(int socket_fd)
{
	for (int i = 1; i < WATCHED_MAX; i++)
		if (watched[i] == socket_fd)
			return i;
	return 0;
}

int received_watch(int socket_fd)
{
	int ticket;

	if (!first) {
		int r = find_first();

		if (r < 0)
			return r;
		first = r;
	}
	/* its number is new, so who had it has closed it, and may not know yet */
	ticket = ticket_of(socket_fd);
	if (ticket)
		watched[ticket] = CLOSED;
	for (ticket = 1; ticket < WATCHED_MAX; ticket++)
		if (watched[ticket] == FREE) {
			watched[ticket] = socket_fd;
			return ticket;
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

void received_forget(int ticket)
{
	bool room = table_has_room();

	watched[ticket] = FREE;
	for (int i = 0; i < NUMBERS; i++)
		if (owners[i] == ticket) {
			owners[i] = 0;
			/* closed before, as most are, it is nobody else's by now */
			if (room)
				(void)close(first + i);
		}
}

static unsigned int count_open(int ticket)
{
	unsigned int n = 0;

	for (int i = 0; i < NUMBERS; i++)
		if (owners[i] == ticket && fcntl(first + i, F_GETFD) >= 0)
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
static int move_up(int ticket, int fd)
{
	int moved = -EMFILE;

	if (is_refused(fd))
		fd = fd_close(fd);
	else if (fd < first && count_open(ticket) < RECEIVED_OPEN_MAX)
		moved = fcntl(fd, F_DUPFD_CLOEXEC, first);
	fd_close(fd);
	if (moved >= first + NUMBERS) {
		fd_close(moved);
		return -EMFILE;
	}
	if (moved >= 0)
		owners[moved - first] = ticket;
	return moved < 0 ? -EMFILE : moved;
}

/* All of a message's, or none: what did not fit closes the rest, and breaks the connection. */
static int move_all(int ticket, struct msghdr *message)
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
			fd = move_up(ticket, fd);
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
	int ticket;

	if (n < 0 || !message->msg_controllen)
		return n;
	ticket = ticket_of(fd);
	if (ticket && move_all(ticket, message) < 0) {
		errno = ECONNRESET; /* what was moved already goes with the connection */
		return -1;
	}
	return n;
}

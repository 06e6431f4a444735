/* SPDX-License-Identifier: MIT */
/*
 * Who waits keeps its descriptor's number over the exec; a variable lists the numbers, in order of arrival. What the
 * listener remembers of sources is not handed on: the image after a crash starts without anything from the one before but
 * what the kernel vouches for.
 */
#include "sshd-sub/anew.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#define NUMBER_TEXT_MAX 12U

static int keep_open(int fd)
{
	return fcntl(fd, F_SETFD, 0) < 0 ? -errno : 0;
}

static int hand_on_waiting(const Room *room)
{
	_cleanup_free_ char *list = malloc((size_t)room->n * NUMBER_TEXT_MAX + 1);
	const Waiting *waiting;
	char *at = list;

	if (!list)
		return -ENOMEM;
	*at = '\0';
	TAILQ_FOREACH(waiting, &room->waiting, room_link)
	if (keep_open(waiting->fd) == 0)
		at += sprintf(at, "%d ", waiting->fd);
	return setenv(ANEW_VARIABLE, list, 1) < 0 ? -errno : 0;
}

int anew_execute(char *const argv[], const int *listening_fds, unsigned int n, const Room *room)
{
	char number[24];
	int r;

	(void)snprintf(number, sizeof(number), "%d", (int)getpid());
	(void)setenv("LISTEN_PID", number, 1);
	(void)snprintf(number, sizeof(number), "%u", n);
	(void)setenv("LISTEN_FDS", number, 1);
	for (unsigned int i = 0; i < n; i++) {
		if (listening_fds[i] != SD_LISTEN_FDS_START + (int)i)
			return -EBADF;
		r = keep_open(listening_fds[i]);
		if (r < 0)
			return r;
	}
	r = hand_on_waiting(room);
	if (r < 0)
		return r;
	(void)execv("/proc/self/exe", argv);
	return -errno;
}

/* Takes `fd` when it is a client's. */
static int take_one(Room *room, int fd, uint64_t now_usec)
{
	struct sockaddr_storage remote;
	socklen_t remote_n = sizeof(remote);

	if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 || getpeername(fd, (struct sockaddr *)&remote, &remote_n) < 0)
		return -errno;
	return room_add(room, fd, &remote, now_usec);
}

unsigned int anew_take_waiting(Room *room, uint64_t now_usec)
{
	_cleanup_free_ char *list = NULL;
	const char *text = getenv(ANEW_VARIABLE);
	char *rest;
	unsigned int taken = 0;

	if (!text)
		return 0;
	list = strdup(text);
	(void)unsetenv(ANEW_VARIABLE);
	rest = list;
	for (const char *word; list && (word = strsep(&rest, " "));) {
		uint64_t number;

		if (str_to_u64(word, INT32_MAX, &number) < 0)
			continue;
		if (take_one(room, (int)number, now_usec) == 0)
			taken++;
		else
			fd_close((int)number); /* it left meanwhile */
	}
	return taken;
}

/* SPDX-License-Identifier: MIT */
#include "sshd-sub/spare.h"
#include "sshd-sub/wire.h"
#include "sshd-sub/worker.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#define FD_FIRST_FREE 7

static int fd_place(int fd, int number)
{
	return dup2(fd, number) < 0 ? -errno : 0;
}

/* Context: a fresh child. What remains is what worker.h says. */
_Noreturn static void spare_become(
	ssh_session session, int landlock_fd, const Options *options, const char *banner, int handoff_fd, int link_fd)
{
	/* out of the way of the numbers that they move to */
	handoff_fd = fcntl(handoff_fd, F_DUPFD_CLOEXEC, FD_FIRST_FREE);
	link_fd = fcntl(link_fd, F_DUPFD_CLOEXEC, FD_FIRST_FREE);
	if (handoff_fd < 0 || link_fd < 0)
		_exit(1);
	if (landlock_fd >= 0) {
		if (fd_place(landlock_fd, WORKER_LANDLOCK_FD) < 0)
			_exit(1);
		landlock_fd = WORKER_LANDLOCK_FD;
	}
	if (fd_place(handoff_fd, WORKER_HANDOFF_FD) < 0 || fd_place(link_fd, WORKER_LINK_FD) < 0)
		_exit(1);
	(void)close(WORKER_CONNECTION_FD); /* the listener's first socket: its number is the connection's */
	if (close_range(landlock_fd < 0 ? WORKER_LANDLOCK_FD : FD_FIRST_FREE, ~0U, 0) < 0)
		_exit(1);
	worker_run(session, landlock_fd, options, banner);
}

int spare_make(Spare *spare, ssh_session session, int landlock_fd, const Options *options, const char *banner)
{
	_cleanup_close_ int handoff_fd = -EBADF, worker_handoff_fd = -EBADF, link_fd = -EBADF, worker_link_fd = -EBADF;
	int pair[2];
	pid_t pid;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	handoff_fd = pair[0];
	worker_handoff_fd = pair[1];
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	link_fd = pair[0];
	worker_link_fd = pair[1];

	pid = fork();
	if (pid < 0)
		return -errno;
	if (!pid)
		spare_become(session, landlock_fd, options, banner, worker_handoff_fd, worker_link_fd);
	*spare = (Spare){ .pid = pid, .handoff_fd = TAKE_FD(handoff_fd), .link_fd = TAKE_FD(link_fd) };
	return 0;
}

int spare_hand_over(const Spare *spare, int connection_fd)
{
	WireHeader header = { .type = WIRE_CONNECTION };

	return wire_send(spare->handoff_fd, &header, NULL, &connection_fd, 1, 0);
}

void spare_drop(Spare *spare)
{
	fd_close(spare->handoff_fd);
	fd_close(spare->link_fd);
	*spare = (Spare)SPARE_NONE;
}

/* SPDX-License-Identifier: MIT */
#include "shell/base/passing.h"

#include <string.h>
#include <sys/socket.h>

typedef union Control {
	char bytes[CMSG_SPACE(PASSING_FDS_MAX * sizeof(int))];
	struct cmsghdr align;
} Control;

int passing_send(int fd, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags)
{
	struct msghdr message = { .msg_iov = (struct iovec *)parts, .msg_iovlen = n_parts };
	Control control = { 0 };

	if (n_fds > PASSING_FDS_MAX)
		return -EINVAL;
	if (n_fds) {
		message.msg_control = control.bytes;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.align.cmsg_level = SOL_SOCKET;
		control.align.cmsg_type = SCM_RIGHTS;
		control.align.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.align), fds, n_fds * sizeof(int));
	}
	for (;;) {
		if (sendmsg(fd, &message, MSG_NOSIGNAL | flags) >= 0)
			return 0;
		if (errno != EINTR)
			return -errno;
	}
}

ssize_t passing_receive(
	int fd, const struct iovec *parts, size_t n_parts, int *ret_fds, size_t room, size_t *ret_n, int flags)
{
	Control control;
	struct msghdr message = {
		.msg_iov = (struct iovec *)parts,
		.msg_iovlen = n_parts,
		.msg_control = control.bytes,
		/* not CMSG_SPACE: its padding would let the kernel deliver one descriptor more */
		.msg_controllen = CMSG_LEN(room * sizeof(int)),
	};
	int fds[PASSING_FDS_MAX];
	size_t n_fds = 0;
	ssize_t n;

	if (room > PASSING_FDS_MAX)
		return -EINVAL;
	do
		n = recvmsg(fd, &message, MSG_CMSG_CLOEXEC | flags);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;

	for (struct cmsghdr *c = CMSG_FIRSTHDR(&message); c; c = CMSG_NXTHDR(&message, c))
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
			n_fds = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
			n_fds = n_fds < room ? n_fds : room;
			memcpy(fds, CMSG_DATA(c), n_fds * sizeof(int));
		}
	if (message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) {
		for (size_t i = 0; i < n_fds; i++)
			fd_close(fds[i]);
		return -EBADMSG;
	}
	if (n_fds)
		memcpy(ret_fds, fds, n_fds * sizeof(int));
	*ret_n = n_fds;
	return n;
}

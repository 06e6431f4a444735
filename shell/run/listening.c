/* SPDX-License-Identifier: MIT */
/*
 * One question over netlink instead of a search in /proc/net/tcp: the kernel answers with the very socket that it would
 * choose, so that no rule of that choice is repeated here, and however many sockets there are, it is one lookup.
 */
#include "shell/run/listening.h"

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>

#define LOOPBACK_INTERFACE 1U /* in every network namespace (LOOPBACK_IFINDEX in Linux's net/flow.h) */

typedef struct Question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
} Question;

static int question_make(const struct sockaddr_storage *address, Question *ret)
{
	Question question = {
		.header = { .nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST },
		.request = {
			.sdiag_family = (uint8_t)address->ss_family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1U << TCP_LISTEN,
			.id = {
				.idiag_if = LOOPBACK_INTERFACE,
				.idiag_cookie = { INET_DIAG_NOCOOKIE, INET_DIAG_NOCOOKIE },
			},
		},
	};
	struct inet_diag_sockid *id = &question.request.id;

	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		id->idiag_sport = in->sin_port;
		memcpy(id->idiag_src, &in->sin_addr, sizeof(in->sin_addr));
	} else if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		id->idiag_sport = in6->sin6_port;
		memcpy(id->idiag_src, &in6->sin6_addr, sizeof(in6->sin6_addr));
	} else {
		return -EAFNOSUPPORT;
	}
	/* the other end: on loopback too; no connection has port 0, so none is found instead of the listener */
	memcpy(id->idiag_dst, id->idiag_src, sizeof(id->idiag_dst));
	*ret = question;
	return 0;
}

static int answer_read(const struct nlmsghdr *header, size_t n, uid_t *ret)
{
	if (n < sizeof(*header) || header->nlmsg_len > n)
		return -EBADMSG;
	if (header->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *error = NLMSG_DATA(header);

		return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && error->error < 0 ? error->error : -EBADMSG;
	}
	if (header->nlmsg_type != SOCK_DIAG_BY_FAMILY || header->nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
		return -EBADMSG;
	if (((const struct inet_diag_msg *)NLMSG_DATA(header))->idiag_state != TCP_LISTEN)
		return -ENOENT;
	*ret = ((const struct inet_diag_msg *)NLMSG_DATA(header))->idiag_uid;
	return 0;
}

int listening_uid(const struct sockaddr_storage *address, uid_t *ret)
{
	union {
		struct nlmsghdr header;
		char space[4096];
	} answer;
	_cleanup_close_ int fd = -EBADF;
	Question question;
	ssize_t n;
	int r;

	r = question_make(address, &question);
	if (r < 0)
		return r;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	if (fd < 0)
		return -errno;
	if (send(fd, &question, sizeof(question), MSG_NOSIGNAL) < 0)
		return -errno;
	/* the answer was queued while we sent */
	n = recv(fd, &answer, sizeof(answer), MSG_DONTWAIT);
	return n < 0 ? -errno : answer_read(&answer.header, (size_t)n, ret);
}

/* SPDX-License-Identifier: MIT */
/*
 * Not /proc/net/tcp: which process holds a socket is told by its descriptors alone, which lie hidden where another login of
 * the same agent runs it. The kernel's answer here has the cgroup in which each socket was made (Linux 5.8), and that is a
 * unit, a run or a login.
 */
#include "shell/jobs/sockets.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define LISTENERS_MAX 65536U

static ListenReach reach_of(const struct inet_diag_msg *message)
{
	struct in6_addr six;

	if (message->idiag_family == AF_INET) {
		uint32_t address = ntohl(message->id.idiag_src[0]);

		return address == INADDR_ANY ? LISTEN_ANY : address >> 24 == 127 ? LISTEN_LOOPBACK : LISTEN_ADDRESS;
	}
	memcpy(&six, message->id.idiag_src, sizeof(six));
	if (IN6_IS_ADDR_UNSPECIFIED(&six))
		return LISTEN_ANY;
	if (IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127))
		return LISTEN_LOOPBACK;
	return LISTEN_ADDRESS;
}

static uint64_t cgroup_of(const struct nlmsghdr *header)
{
	size_t left = header->nlmsg_len - NLMSG_LENGTH(sizeof(struct inet_diag_msg));
	const char *at = (const char *)NLMSG_DATA(header) + NLMSG_ALIGN(sizeof(struct inet_diag_msg));
	uint64_t id = 0;

	while (left >= sizeof(struct rtattr)) {
		struct rtattr attribute;
		size_t step;

		memcpy(&attribute, at, sizeof(attribute));
		if (attribute.rta_len < sizeof(attribute) || attribute.rta_len > left)
			break;
		if (attribute.rta_type == INET_DIAG_CGROUP_ID && attribute.rta_len >= RTA_LENGTH(sizeof(id)))
			memcpy(&id, at + RTA_LENGTH(0), sizeof(id));
		step = RTA_ALIGN(attribute.rta_len);
		if (step > left)
			break;
		at += step;
		left -= step;
	}
	return id;
}

static int add(Listeners *listeners, const struct nlmsghdr *header)
{
	struct inet_diag_msg message;
	Listener *grown;

	memcpy(&message, NLMSG_DATA(header), sizeof(message));
	if (message.idiag_state != TCP_LISTEN)
		return 0;
	if (listeners->n >= LISTENERS_MAX)
		return -E2BIG;
	grown = reallocarray(listeners->items, listeners->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	listeners->items = grown;
	grown[listeners->n++] = (Listener){
		.port = ntohs(message.id.idiag_sport),
		.reach = reach_of(&message),
		.uid = message.idiag_uid,
		.inode = message.idiag_inode,
		.cgroup = cgroup_of(header),
	};
	return 0;
}

int listeners_take(Listeners *listeners, const void *bytes, size_t n)
{
	const char *at = bytes;

	while (n >= sizeof(struct nlmsghdr)) {
		struct nlmsghdr header;
		size_t step;
		int r;

		memcpy(&header, at, sizeof(header));
		if (header.nlmsg_len < sizeof(header) || header.nlmsg_len > n)
			return -EBADMSG;
		if (header.nlmsg_type == NLMSG_DONE)
			return 1;
		if (header.nlmsg_type == NLMSG_ERROR) {
			struct nlmsgerr error;

			if (header.nlmsg_len < NLMSG_LENGTH(sizeof(error)))
				return -EBADMSG;
			memcpy(&error, at + NLMSG_HDRLEN, sizeof(error));
			return error.error < 0 ? error.error : -EBADMSG;
		}
		if (header.nlmsg_type == SOCK_DIAG_BY_FAMILY) {
			if (header.nlmsg_len < NLMSG_LENGTH(sizeof(struct inet_diag_msg)))
				return -EBADMSG;
			r = add(listeners, (const struct nlmsghdr *)at);
			if (r < 0)
				return r;
		}
		step = NLMSG_ALIGN(header.nlmsg_len);
		if (step >= n)
			break;
		at += step;
		n -= step;
	}
	return 0;
}

static int dump(int fd, sa_family_t family, Listeners *listeners)
{
	struct {
		struct nlmsghdr header;
		struct inet_diag_req_v2 request;
	} question = {
		.header = { .nlmsg_len = sizeof(question), .nlmsg_type = SOCK_DIAG_BY_FAMILY, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP },
		.request = { .sdiag_family = (uint8_t)family, .sdiag_protocol = IPPROTO_TCP, .idiag_states = 1U << TCP_LISTEN },
	};
	union {
		struct nlmsghdr header;
		char space[32768];
	} answer;
	int r = 0;

	if (send(fd, &question, sizeof(question), MSG_NOSIGNAL) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = recv(fd, &answer, sizeof(answer), 0);

		if (n < 0 && errno == EINTR)
			continue;
		r = n < 0 ? -errno : n == 0 ? -EBADMSG : listeners_take(listeners, &answer, (size_t)n);
	}
	return r < 0 ? r : 0;
}

static int compare(const void *a, const void *b)
{
	const Listener *x = a, *y = b;

	return (int)x->port - (int)y->port;
}

int listeners_read(Listeners *ret)
{
	_cleanup_listeners_ Listeners listeners = { 0 };
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	int r;

	if (fd < 0)
		return -errno;
	r = dump(fd, AF_INET, &listeners);
	if (r == 0)
		r = dump(fd, AF_INET6, &listeners);
	if (r < 0)
		return r;
	if (listeners.n)
		qsort(listeners.items, listeners.n, sizeof(*listeners.items), compare);
	*ret = listeners;
	listeners = (Listeners){ 0 };
	return 0;
}

void listeners_done(Listeners *listeners)
{
	free(listeners->items);
	*listeners = (Listeners){ 0 };
}

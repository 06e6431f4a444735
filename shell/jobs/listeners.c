/* SPDX-License-Identifier: MIT */
/*
 * Over netlink, as ss(8) does it, and not by /proc: which process has a socket open cannot be seen from a session of the
 * agent's, because Landlock keeps it out of /proc/PID/fd of what the user manager started. The kernel itself says in which cgroup
 * a socket was made, and that is the unit.
 */
#include "shell/jobs/listeners.h"

#include <arpa/inet.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define ANSWER_BYTES (32U * 1024) /* more than the kernel puts into one message */

typedef struct Question {
	struct nlmsghdr header;
	struct inet_diag_req_v2 request;
} Question;

typedef struct List {
	Listener *items;
	size_t n, room;
} List;

static int list_add(List *list, const Listener *listener)
{
	if (list->n == list->room) {
		size_t room = list->room ? list->room * 2 : 16;
		Listener *items = reallocarray(list->items, room, sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
		list->room = room;
	}
	list->items[list->n++] = *listener;
	return 0;
}

/* One socket. */
static int message_read(const struct nlmsghdr *header, List *list)
{
	const struct inet_diag_msg *message = NLMSG_DATA(header);
	Listener listener;
	const struct rtattr *attribute;
	unsigned int n;

	if (header->nlmsg_len < NLMSG_LENGTH(sizeof(*message)))
		return -EBADMSG;
	if (message->idiag_state != TCP_LISTEN)
		return 0;
	listener = (Listener){
		.family = message->idiag_family,
		.port = ntohs(message->id.idiag_sport),
		.uid = message->idiag_uid,
		.inode = message->idiag_inode,
	};
	memcpy(listener.address, message->id.idiag_src, listener.family == AF_INET ? 4 : 16);
	n = header->nlmsg_len - (unsigned int)NLMSG_LENGTH(sizeof(*message));
	for (attribute = (const struct rtattr *)(message + 1); RTA_OK(attribute, n); attribute = RTA_NEXT(attribute, n))
		if (attribute->rta_type == INET_DIAG_CGROUP_ID && RTA_PAYLOAD(attribute) >= sizeof(uint64_t))
			memcpy(&listener.cgroup, RTA_DATA(attribute), sizeof(uint64_t));
		else if (attribute->rta_type == INET_DIAG_SKV6ONLY && RTA_PAYLOAD(attribute) >= 1)
			listener.only6 = *(const uint8_t *)RTA_DATA(attribute) != 0;
	return list_add(list, &listener);
}

/* One answer of the kernel's, which may hold many. Returns 1 after the last. */
static int answer_read(const struct nlmsghdr *header, size_t size, List *list)
{
	unsigned int n = (unsigned int)size;
	int r = 0;

	for (; NLMSG_OK(header, n) && r == 0; header = NLMSG_NEXT(header, n)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR) {
			const struct nlmsgerr *error = NLMSG_DATA(header);

			return header->nlmsg_len >= NLMSG_LENGTH(sizeof(*error)) && error->error < 0 ? error->error
												     : -EBADMSG;
		}
		r = message_read(header, list);
	}
	return r;
}

static int family_read(int fd, int family, List *list)
{
	Question question = {
		.header = {
			.nlmsg_len = sizeof(question),
			.nlmsg_type = SOCK_DIAG_BY_FAMILY,
			.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP,
		},
		.request = {
			.sdiag_family = (uint8_t)family,
			.sdiag_protocol = IPPROTO_TCP,
			.idiag_states = 1U << TCP_LISTEN,
		},
	};
	struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
	_cleanup_free_ struct nlmsghdr *answer = malloc(ANSWER_BYTES);
	int r = 0;

	if (!answer)
		return -ENOMEM;
	if (sendto(fd, &question, sizeof(question), 0, (const struct sockaddr *)&kernel, sizeof(kernel)) < 0)
		return -errno;
	while (r == 0) {
		ssize_t n = recv(fd, answer, ANSWER_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EBADMSG;
		r = answer_read(answer, (size_t)n, list);
	}
	return r < 0 ? r : 0;
}

int listeners_read(Listener **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
	List list = { 0 };
	int r;

	if (fd < 0)
		return -errno;
	r = family_read(fd, AF_INET, &list);
	if (r == 0)
		r = family_read(fd, AF_INET6, &list);
	if (r < 0) {
		free(list.items);
		return r;
	}
	*ret = list.items;
	*ret_n = list.n;
	return 0;
}

/* An IPv4 address within an IPv6 one: its four bytes, or NULL. */
static const uint8_t *mapped(const Listener *listener)
{
	struct in6_addr address;

	memcpy(&address, listener->address, sizeof(address));
	return listener->family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&address) ? listener->address + 12 : NULL;
}

bool listener_is_loopback(const Listener *listener)
{
	const uint8_t *four = listener->family == AF_INET ? listener->address : mapped(listener);

	return four ? four[0] == 127 : memcmp(listener->address, &in6addr_loopback, sizeof(in6addr_loopback)) == 0;
}

bool listener_is_wildcard(const Listener *listener)
{
	static const uint8_t zeros[16];
	const uint8_t *four = listener->family == AF_INET ? listener->address : mapped(listener);

	return memcmp(four ? four : listener->address, zeros, four ? 4 : 16) == 0;
}

const char *listener_address(const Listener *listener, char *buffer, size_t size)
{
	if (!inet_ntop(listener->family, listener->address, buffer, (socklen_t)size))
		(void)snprintf(buffer, size, "?");
	return buffer;
}

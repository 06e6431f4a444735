/* SPDX-License-Identifier: MIT */
/*
 * Ports, in the kernel: which addresses an agent may bind. Attached once, for all cgroups; an agent is told by its uid
 * (the real one, in the kernel's first user namespace), so that neither a cgroup nor a namespace is a way around.
 *
 *   bind4, bind6            judge the port; give a TCP bind(0) on a public address a port of the agent's
 *   post_bind4, post_bind6  judge what the kernel chose
 *   listen                  a TCP socket that was never bound gets a port at listen(2), which no bind hook sees
 *   create                  kinds of sockets that have their own bind (SCTP, raw, vsock, packet ...) do not come to be
 *
 * Loopback addresses stay free, so do UDP sockets bound to port 0: clients of name servers are made like that, and the
 * firewall drops what comes in uninvited.
 */
#include "shell/enforce/earlier.bpf.h"
#include "shell/enforce/shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define AF_UNIX 1
#define AF_INET 2
#define AF_INET6 10
#define AF_NETLINK 16
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define SOCK_RAW 3
#define SOCK_TYPE_MASK 0xf
#define IPPROTO_IP 0
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define EPERM 1
#define EACCES 13
#define EPROTONOSUPPORT 93
#define EAFNOSUPPORT 97

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
struct in6_addr {
	union {
		__be32 u6_addr32[4];
	} in6_u;
} __attribute__((preserve_access_index));

struct sock_common {
	unsigned short skc_family;
	__be32 skc_rcv_saddr;
	__u16 skc_num;
	struct in6_addr skc_v6_rcv_saddr;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u32);
	__type(value, struct port_limits);
} ports SEC(".maps");

/* Whoever has none, of all who might be agents: a new user, an agent that creel-enforce has not seen. */
static const struct port_limits nothing;

/* NULL: not an agent. */
static __always_inline const struct port_limits *limits_of_current(void)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid();
	const struct port_limits *limits;

	if (uid < SHARED_UID_MIN || uid > SHARED_UID_MAX)
		return 0;
	limits = bpf_map_lookup_elem(&ports, &uid);
	return limits ? limits : &nothing;
}

static __always_inline int port_allowed(const struct port_limits *limits, __u16 port)
{
	for (__u32 i = 0; i < PORT_RANGES_MAX; i++) {
		if (i >= limits->n)
			break;
		if (port >= limits->ranges[i].first && port <= limits->ranges[i].last)
			return 1;
	}
	return 0;
}

/* The `index`th port of all ranges. */
static __always_inline __u16 port_at(const struct port_limits *limits, __u32 index)
{
	for (__u32 i = 0; i < PORT_RANGES_MAX; i++) {
		__u32 size;

		if (i >= limits->n)
			break;
		size = (__u32)limits->ranges[i].last - limits->ranges[i].first + 1;
		if (index < size)
			return (__u16)(limits->ranges[i].first + index);
		index -= size;
	}
	return 0;
}

static __always_inline int is_loopback4(__be32 address)
{
	return (address & bpf_htonl(0xff000000)) == bpf_htonl(0x7f000000);
}

static __always_inline int is_loopback6(__be32 a, __be32 b, __be32 c, __be32 d)
{
	if (a | b)
		return 0;
	if (c == 0 && d == bpf_htonl(1))
		return 1;
	return c == bpf_htonl(0xffff) && is_loopback4(d);
}

static __always_inline int refuse_bind(void)
{
	bpf_set_retval(-EACCES);
	return 0;
}

#define TRIES 24

/*
 * bind(0) chooses a port that is free; so does this, as far as it can be seen from here: a port on which somebody listens
 * is passed over. Returns 0 when there is no port to give.
 */
static __always_inline __u16 choose_port(struct bpf_sock_addr *context, const struct port_limits *limits)
{
	struct bpf_sock_tuple tuple = { .ipv4 = { .daddr = bpf_htonl(0x7f000001) } };
	__u32 total = limits->total, start;
	__u16 port = 0;

	if (!total || !limits->n)
		return 0;
	start = bpf_get_prandom_u32() % total;
	for (__u32 i = 0; i < TRIES; i++) {
		struct bpf_sock *listener;

		if (i >= total)
			break;
		port = port_at(limits, (start + i) % total);
		tuple.ipv4.dport = bpf_htons(port);
		listener = bpf_sk_lookup_tcp(context, &tuple, sizeof(tuple.ipv4), BPF_F_CURRENT_NETNS, 0);
		if (!listener)
			break;
		bpf_sk_release(listener);
	}
	return port;
}

static __always_inline int judge_bind(struct bpf_sock_addr *context, const struct port_limits *limits)
{
	__u16 port = bpf_ntohs((__u16)context->user_port);

	if (port == 0) {
		if (context->type != SOCK_STREAM)
			return 1;
		port = choose_port(context, limits);
		if (!port)
			return refuse_bind();
		context->user_port = bpf_htons(port);
		return 1;
	}
	return port_allowed(limits, port) ? 1 : refuse_bind();
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *context)
{
	const struct port_limits *limits = limits_of_current();

	if (!limits || is_loopback4(context->user_ip4))
		return 1;
	return judge_bind(context, limits);
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *context)
{
	const struct port_limits *limits = limits_of_current();

	if (!limits ||
		is_loopback6(context->user_ip6[0], context->user_ip6[1], context->user_ip6[2], context->user_ip6[3]))
		return 1;
	return judge_bind(context, limits);
}

/* What bind(0) came to. Not UDP's: see above. */
static __always_inline int judge_bound(const struct bpf_sock *sock, const struct port_limits *limits)
{
	__u32 port = sock->src_port; /* in the host's byte order */

	if (sock->type != SOCK_STREAM || port == 0 || port_allowed(limits, (__u16)port))
		return 1;
	return refuse_bind();
}

SEC("cgroup/post_bind4")
int post_bind4(struct bpf_sock *sock)
{
	const struct port_limits *limits = limits_of_current();

	if (!limits || is_loopback4(sock->src_ip4))
		return 1;
	return judge_bound(sock, limits);
}

SEC("cgroup/post_bind6")
int post_bind6(struct bpf_sock *sock)
{
	const struct port_limits *limits = limits_of_current();

	if (!limits || is_loopback6(sock->src_ip6[0], sock->src_ip6[1], sock->src_ip6[2], sock->src_ip6[3]))
		return 1;
	return judge_bound(sock, limits);
}

SEC("lsm/socket_listen")
int BPF_PROG(listen, struct socket *socket, int backlog, int ret)
{
	const struct port_limits *limits = limits_of_current();
	struct sock *sock;
	__u16 family, port;

	if (ret || !limits)
		return earlier(ret);
	sock = socket->sk;
	if (!sock)
		return -EACCES;
	family = sock->__sk_common.skc_family;
	if (family == AF_UNIX)
		return 0;
	port = sock->__sk_common.skc_num;
	if (family == AF_INET) {
		if (port && is_loopback4(sock->__sk_common.skc_rcv_saddr))
			return 0;
	} else if (family == AF_INET6) {
		const struct in6_addr *address = &sock->__sk_common.skc_v6_rcv_saddr;

		if (port && is_loopback6(address->in6_u.u6_addr32[0], address->in6_u.u6_addr32[1],
				    address->in6_u.u6_addr32[2], address->in6_u.u6_addr32[3]))
			return 0;
	} else {
		return -EACCES;
	}
	return port && port_allowed(limits, port) ? 0 : -EACCES;
}

/* What binds as judged above, and what the machine itself is asked by. */
SEC("lsm/socket_create")
int BPF_PROG(create, int family, int type, int protocol, int kern, int ret)
{
	if (ret || kern || !limits_of_current())
		return earlier(ret);
	type &= SOCK_TYPE_MASK;
	if (family == AF_UNIX || family == AF_NETLINK)
		return 0;
	if (family != AF_INET && family != AF_INET6)
		return -EAFNOSUPPORT;
	/* as the kernel itself refuses them: programs that can do without look for this */
	if (type == SOCK_RAW)
		return -EPERM;
	/* not MPTCP: the sockets of its subflows are the kernel's own, whom nothing here and in the firewall takes for the agent's */
	if (type == SOCK_STREAM && (protocol == IPPROTO_IP || protocol == IPPROTO_TCP))
		return 0;
	/* an ICMP socket without privilege is for ping(8): it hears answers only */
	if (type == SOCK_DGRAM && (protocol == IPPROTO_IP || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP ||
					  protocol == IPPROTO_ICMPV6))
		return 0;
	return -EPROTONOSUPPORT;
}

char _license[] SEC("license") = "Dual MIT/GPL";

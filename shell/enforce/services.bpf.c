/* SPDX-License-Identifier: MIT */
/*
 * Services, in the kernel: what all processes of the machine share by a unix socket of systemd's or of the system bus, an agent
 * has a part of and not the whole.
 *
 * Their sockets are open to everybody, as they must be, and bound nothing by user. The service manager takes what is sent to
 * /run/systemd/notify before anything else it has to do: who sends without end stops it, and with it each login that asks
 * logind. The bus takes no more than 64 connections that have not said who they are; the journal no more than 4096 streams.
 *
 * Connections are counted at the service's end: it is there from the client's connect until the service lets go of it,
 * whatever the client closed before. Messages and connections are counted in windows of time; a window that two processors
 * begin at once may let a few more pass.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shell/enforce/confined.bpf.h"
#include "shell/enforce/earlier.bpf.h"

#define AF_UNIX 1
#define EAGAIN 11
#define SECOND 1000000000ULL

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
struct sock_common {
	unsigned short skc_family;
} __attribute__((preserve_access_index));

struct sock {
	struct sock_common __sk_common;
} __attribute__((preserve_access_index));

struct socket {
	struct sock *sk;
} __attribute__((preserve_access_index));

struct sockaddr_un {
	unsigned short sun_family;
	char sun_path[108];
} __attribute__((preserve_access_index));

struct unix_address {
	struct sockaddr_un name[0];
} __attribute__((preserve_access_index));

struct unix_sock {
	struct sock sk;
	struct unix_address *addr;
} __attribute__((preserve_access_index));

/* Services' ends of agents' connections, by the address of the socket: whose. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, SERVICE_CONNECTIONS_MAX);
	__type(key, __u64);
	__type(value, __u32);
} connections SEC(".maps");

/* By uid; the programs make the entries. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u32);
	__type(value, struct part);
} parts SEC(".maps");

typedef enum Kind { CONNECTION, NOTIFICATION, MESSAGE, ANOTHERS } Kind;

/* The first bytes of a path as numbers: comparing them byte by byte has too many ways for the kernel's verifier. */
struct head {
	__u64 first;
	__u32 second, third;
};

#define LETTERS(type, text)                                      \
	({                                                       \
		type number;                                     \
		__builtin_memcpy(&number, text, sizeof(number)); \
		number;                                          \
	})

/* Whose socket it is, by the path that it was bound to: /run/systemd/..., /run/dbus/... */
static __always_inline Kind kind_of(const void *socket, Kind kind)
{
	const struct unix_sock *service = socket;
	struct unix_address *address = 0;
	struct head head = { 0 };

	if (BPF_CORE_READ_INTO(&address, service, addr) < 0 || !address ||
		bpf_probe_read_kernel(&head, sizeof(head), &address->name[0].sun_path) < 0)
		return ANOTHERS;
	if (head.first == LETTERS(__u64, "/run/dbu"))
		return kind;
	if (head.first != LETTERS(__u64, "/run/sys") || head.second != LETTERS(__u32, "temd"))
		return ANOTHERS;
	return head.third == LETTERS(__u32, "/not") ? NOTIFICATION : kind;
}

static __always_inline struct part *part_of(__u32 uid)
{
	struct part *part = bpf_map_lookup_elem(&parts, &uid);

	if (!part) {
		struct part none = { 0 };

		(void)bpf_map_update_elem(&parts, &uid, &none, BPF_NOEXIST);
		part = bpf_map_lookup_elem(&parts, &uid);
	}
	return part;
}

static __always_inline int too_many(struct part *part, Kind kind, __u64 most)
{
	__u64 now = bpf_ktime_get_ns();

	if (kind >= ANOTHERS)
		return 0;
	if (now - part->windows[kind].since > SERVICE_WINDOW_SECONDS * SECOND) {
		part->windows[kind].since = now;
		part->windows[kind].n = 0;
	}
	return __sync_fetch_and_add(&part->windows[kind].n, 1) >= most;
}

SEC("lsm/unix_stream_connect")
int BPF_PROG(unix_stream_connect, struct sock *client, struct sock *listener, struct sock *service, int ret)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid();
	__u64 key = (__u64)service;
	struct part *part;

	if (ret || !bpf_map_lookup_elem(&confined, &uid) || kind_of(listener, CONNECTION) != CONNECTION)
		return earlier(ret);
	part = part_of(uid);
	if (!part || too_many(part, CONNECTION, SERVICE_CONNECTS))
		return -EAGAIN;
	if (__sync_fetch_and_add(&part->connections, 1) >= SERVICE_CONNECTIONS ||
		bpf_map_update_elem(&connections, &key, &uid, BPF_NOEXIST) < 0) {
		__sync_fetch_and_add(&part->connections, -1);
		return -EAGAIN;
	}
	return 0;
}

SEC("lsm/sk_free_security")
void BPF_PROG(sk_free_security, struct sock *socket)
{
	__u64 key = (__u64)socket;
	struct part *part;
	__u32 *owner, uid;

	if (socket->__sk_common.skc_family != AF_UNIX)
		return;
	owner = bpf_map_lookup_elem(&connections, &key);
	if (!owner)
		return;
	uid = *owner;
	if (bpf_map_delete_elem(&connections, &key) < 0)
		return;
	part = bpf_map_lookup_elem(&parts, &uid);
	if (part)
		__sync_fetch_and_add(&part->connections, -1);
}

/* For each datagram, and for each connect of a datagram socket. */
SEC("lsm/unix_may_send")
int BPF_PROG(unix_may_send, struct socket *client, struct socket *service, int ret)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid();
	const struct sock *sock;
	struct part *part;
	Kind kind;

	if (ret || !bpf_map_lookup_elem(&confined, &uid))
		return earlier(ret);
	/* Linux 6.10 and later ask for this */
	sock = service->sk;
	if (!sock)
		return 0;
	kind = kind_of(sock, MESSAGE);
	if (kind == ANOTHERS)
		return 0;
	part = part_of(uid);
	if (!part || too_many(part, kind, kind == NOTIFICATION ? SERVICE_NOTIFICATIONS : SERVICE_MESSAGES))
		return -EAGAIN;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";

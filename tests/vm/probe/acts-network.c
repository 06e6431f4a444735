/* SPDX-License-Identifier: MIT */
/* Sockets that are not for agents: families, ports, and what listens for root. */
#include "tests/vm/probe/probe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int make(int family, int type, int protocol)
{
	return TRY(socket(family, type | SOCK_CLOEXEC, protocol));
}

#define SOCKET(NAME, FAMILY, TYPE, PROTOCOL)         \
	static int NAME(const Targets *targets)      \
	{                                            \
		return make(FAMILY, TYPE, PROTOCOL); \
	}

SOCKET(packet, AF_PACKET, SOCK_RAW, 0)
SOCKET(raw, AF_INET, SOCK_RAW, IPPROTO_ICMP)
SOCKET(raw6, AF_INET6, SOCK_RAW, IPPROTO_ICMPV6)
SOCKET(vsock, AF_VSOCK, SOCK_STREAM, 0)
SOCKET(alg, AF_ALG, SOCK_SEQPACKET, 0)
SOCKET(bluetooth, AF_BLUETOOTH, SOCK_RAW, 1)
SOCKET(tipc, AF_TIPC, SOCK_SEQPACKET, 0)
SOCKET(xdp, AF_XDP, SOCK_RAW, 0)
SOCKET(rds, AF_RDS, SOCK_SEQPACKET, 0)
SOCKET(can, AF_CAN, SOCK_RAW, 1)
SOCKET(keys, AF_KEY, SOCK_RAW, 2)
SOCKET(appletalk, AF_APPLETALK, SOCK_DGRAM, 0)
SOCKET(audit, AF_NETLINK, SOCK_RAW, 9 /* NETLINK_AUDIT */)
SOCKET(filter_rules, AF_NETLINK, SOCK_RAW, 12 /* NETLINK_NETFILTER */)

static int bind4(int type, const char *address, int port)
{
	struct sockaddr_in where = { .sin_family = AF_INET, .sin_port = htons((unsigned short)port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || inet_pton(AF_INET, address, &where.sin_addr) != 1)
		return ODD;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return TRY(bind(fd, (struct sockaddr *)&where, sizeof(where)));
}

static int bind6(int type, const char *address, int port)
{
	struct sockaddr_in6 where = { .sin6_family = AF_INET6, .sin6_port = htons((unsigned short)port) };
	int fd = socket(AF_INET6, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || inet_pton(AF_INET6, address, &where.sin6_addr) != 1)
		return ODD;
	(void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	return TRY(bind(fd, (struct sockaddr *)&where, sizeof(where)));
}

#define BIND(NAME, CALL)                        \
	static int NAME(const Targets *targets) \
	{                                       \
		return CALL;                    \
	}

BIND(bind_low, bind4(SOCK_STREAM, "0.0.0.0", 80))
BIND(bind_low_loopback, bind4(SOCK_STREAM, "127.0.0.1", 80))
BIND(bind_outside, bind4(SOCK_STREAM, "0.0.0.0", targets->port_outside))
BIND(bind_outside6, bind6(SOCK_STREAM, "::", targets->port_outside))
BIND(bind_outside_mapped, bind6(SOCK_STREAM, "::ffff:0.0.0.0", targets->port_outside))
BIND(bind_outside_datagram, bind4(SOCK_DGRAM, "0.0.0.0", targets->port_outside))
BIND(bind_outside_datagram6, bind6(SOCK_DGRAM, "::", targets->port_outside))
BIND(bind_range, bind4(SOCK_STREAM, "0.0.0.0", targets->port))
BIND(bind_range6, bind6(SOCK_STREAM, "::", targets->port + 1))
BIND(bind_range_datagram, bind4(SOCK_DGRAM, "0.0.0.0", targets->port))
BIND(bind_loopback, bind4(SOCK_STREAM, "127.0.0.1", targets->port_outside))
BIND(bind_loopback6, bind6(SOCK_STREAM, "::1", targets->port_outside))
BIND(bind_any_datagram, bind4(SOCK_DGRAM, "0.0.0.0", 0))

static int listen_unbound(const Targets *targets)
{
	struct sockaddr_in where;
	socklen_t n = sizeof(where);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* without a bind the kernel chooses a port, of all of them and on all addresses */
	if (fd < 0)
		return ODD;
	if (listen(fd, 1) < 0)
		return -errno;
	if (getsockname(fd, (struct sockaddr *)&where, &n) < 0)
		return ODD;
	return 0;
}

static int bind_zero(const Targets *targets)
{
	struct sockaddr_in where = { .sin_family = AF_INET };
	socklen_t n = sizeof(where);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	/* it may be refused, or led into the range: what must not be is a port outside on all addresses */
	if (fd < 0)
		return ODD;
	if (bind(fd, (struct sockaddr *)&where, sizeof(where)) < 0)
		return -errno;
	if (getsockname(fd, (struct sockaddr *)&where, &n) < 0)
		return ODD;
	return ntohs(where.sin_port) >= targets->port_first && ntohs(where.sin_port) <= targets->port_last ? -EACCES
													   : 0;
}

static int reach(int type, const char *path)
{
	struct sockaddr_un where = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return ODD;
	(void)snprintf(where.sun_path, sizeof(where.sun_path), "%s", path);
	return TRY(connect(fd, (struct sockaddr *)&where, sizeof(where)));
}

static int reach_keeper(uid_t uid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/run/creel/%u/keeper.sock", (unsigned int)uid);
	return reach(SOCK_STREAM, path);
}

#define REACH(NAME, CALL)                       \
	static int NAME(const Targets *targets) \
	{                                       \
		return CALL;                    \
	}

REACH(keeper_own, reach_keeper(getuid()))
REACH(keeper_other, reach_keeper(targets->other_uid))
REACH(record, reach(SOCK_DGRAM, "/run/systemd/journal.creel/socket"))
REACH(manager, reach(SOCK_STREAM, "/run/systemd/private"))
REACH(udev, reach(SOCK_SEQPACKET, "/run/udev/control"))
REACH(docker, reach(SOCK_STREAM, targets->docker))
REACH(system_log, reach(SOCK_DGRAM, "/dev/log"))

static int bus_other(const Targets *targets)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/run/user/%u/bus", (unsigned int)targets->other_uid);
	return reach(SOCK_STREAM, path);
}

const Act acts_network[] = {
	{ "socket-packet", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, packet, "sees and forges others' packets" },
	{ "socket-raw", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, raw, "forges packets" },
	{ "socket-raw6", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, raw6, "forges packets" },
	{ "socket-vsock", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, vsock,
		"reaches the host, past ports and firewall" },
	{ "socket-alg", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, alg, "kernel code that nobody here needs" },
	{ "socket-bluetooth", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, bluetooth, "the same" },
	{ "socket-tipc", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, tipc, "the same" },
	{ "socket-xdp", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, xdp, "the same" },
	{ "socket-rds", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, rds, "the same" },
	{ "socket-can", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, can, "the same" },
	{ "socket-key", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, keys, "the same" },
	{ "socket-appletalk", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES }, appletalk, "the same" },
	{ "netlink-audit", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES, EPROTONOSUPPORT }, audit, "the kernel's audit" },
	{ "netlink-netfilter", FORBIDDEN, { EPERM, EAFNOSUPPORT, EACCES, EPROTONOSUPPORT }, filter_rules,
		"the firewall" },
	{ "bind-low", FORBIDDEN, { EACCES }, bind_low, "ports below 1024 are the system's" },
	{ "bind-low-loopback", FORBIDDEN, { EACCES }, bind_low_loopback, "ports below 1024 are the system's" },
	{ "bind-outside", FORBIDDEN, { EACCES }, bind_outside, "ports.listen" },
	{ "bind-outside-6", FORBIDDEN, { EACCES }, bind_outside6, "ports.listen" },
	{ "bind-outside-mapped", FORBIDDEN, { EACCES }, bind_outside_mapped, "ports.listen, IPv4 by another name" },
	{ "bind-outside-datagram", FORBIDDEN, { EACCES }, bind_outside_datagram, "ports.listen" },
	{ "bind-outside-datagram-6", FORBIDDEN, { EACCES }, bind_outside_datagram6, "ports.listen" },
	{ "bind-zero-outside", FORBIDDEN, { EACCES, EPERM }, bind_zero,
		"ports.listen; a port of the range is no way outside" },
	{ "listen-unbound", FORBIDDEN, { EACCES, EPERM }, listen_unbound,
		"ports.listen, by a port that the kernel chooses" },
	{ "bind-range", NEEDED, { 0 }, bind_range, "ports.listen" },
	{ "bind-range-6", NEEDED, { 0 }, bind_range6, "ports.listen" },
	{ "bind-range-datagram", NEEDED, { 0 }, bind_range_datagram, "ports.listen" },
	{ "bind-loopback", NEEDED, { 0 }, bind_loopback, "loopback is free" },
	{ "bind-loopback-6", NEEDED, { 0 }, bind_loopback6, "loopback is free" },
	{ "bind-any-datagram", NEEDED, { 0 }, bind_any_datagram, "how clients ask a name server" },
	{ "keeper-own", NEEDED, { 0 }, keeper_own, "creel asks it" },
	{ "system-log", NEEDED, { 0 }, system_log, "logger, and the agent's services" },
	{ "keeper-other", FORBIDDEN, { EACCES }, keeper_other, "agents are apart" },
	{ "bus-other", FORBIDDEN, { EACCES }, bus_other, "agents are apart" },
	{ "record", FORBIDDEN, { EACCES }, record, "agents do not write the record" },
	{ "manager-private", FORBIDDEN, { EACCES, ECONNREFUSED }, manager, "root's way to systemd" },
	{ "udev-control", FORBIDDEN, { EACCES }, udev, "root's" },
	{ "docker", FORBIDDEN, { EACCES }, docker, "the docker socket is root" },
	{ NULL },
};

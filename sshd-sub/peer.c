/* SPDX-License-Identifier: MIT */
#include "sshd-sub/peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#define SOURCE_BYTES_IPV6 8U
#define GROUP_BYTES_IPV6 6U

/* As an IPv6 address, and a port in host order. */
static int address_read(const struct sockaddr_storage *address, struct in6_addr *ret, uint16_t *ret_port)
{
	if (address->ss_family == AF_INET) {
		const struct sockaddr_in *in = (const struct sockaddr_in *)address;

		*ret = (struct in6_addr){ .s6_addr = { [10] = 0xff, [11] = 0xff } };
		memcpy(ret->s6_addr + 12, &in->sin_addr, 4);
		*ret_port = ntohs(in->sin_port);
		return 0;
	}
	if (address->ss_family == AF_INET6) {
		const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)address;

		*ret = in6->sin6_addr;
		*ret_port = ntohs(in6->sin6_port);
		return 0;
	}
	return -EAFNOSUPPORT;
}

static void address_write(const struct in6_addr *address, char ret[static INET6_ADDRSTRLEN])
{
	if (IN6_IS_ADDR_V4MAPPED(address))
		(void)inet_ntop(AF_INET, address->s6_addr + 12, ret, INET6_ADDRSTRLEN);
	else
		(void)inet_ntop(AF_INET6, address, ret, INET6_ADDRSTRLEN);
}

static PeerSource source_of(const struct in6_addr *address)
{
	PeerSource source = { 0 };

	memcpy(source.bytes, address->s6_addr,
		IN6_IS_ADDR_V4MAPPED(address) ? sizeof(source.bytes) : SOURCE_BYTES_IPV6);
	return source;
}

PeerSource peer_group(const PeerSource *source)
{
	static const uint8_t mapped[12] = { [10] = 0xff, [11] = 0xff };
	PeerSource group = *source;

	if (memcmp(source->bytes, mapped, sizeof(mapped)) != 0)
		memset(group.bytes + GROUP_BYTES_IPV6, 0, sizeof(group.bytes) - GROUP_BYTES_IPV6);
	return group;
}

int peer_source(const struct sockaddr_storage *remote, PeerSource *ret)
{
	struct in6_addr address;
	uint16_t port;
	int r = address_read(remote, &address, &port);

	if (r >= 0)
		*ret = source_of(&address);
	return r;
}

int peer_describe(
	const struct sockaddr_storage *remote, const struct sockaddr_storage *local, char ret[static WIRE_PEER_MAX])
{
	char remote_text[INET6_ADDRSTRLEN], local_text[INET6_ADDRSTRLEN];
	struct in6_addr remote_address, local_address;
	uint16_t remote_port, local_port;
	int r;

	r = address_read(remote, &remote_address, &remote_port);
	if (r >= 0)
		r = address_read(local, &local_address, &local_port);
	if (r < 0)
		return r;
	address_write(&remote_address, remote_text);
	address_write(&local_address, local_text);
	(void)snprintf(ret, WIRE_PEER_MAX, "%s %u %s %u", remote_text, remote_port, local_text, local_port);
	return 0;
}

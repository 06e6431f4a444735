/* SPDX-License-Identifier: MIT */
/* Whence a connection comes. */
#pragma once

#include "sshd-sub/wire.h"

#include <sys/socket.h>

/* What counts as one source of connections: an IPv4 address, or the /64 of an IPv6 address. */
typedef struct PeerSource {
	uint8_t bytes[16];
} PeerSource;

/* Returns 0 or -EAFNOSUPPORT. */
_must_check_ int peer_source(const struct sockaddr_storage *remote, PeerSource *ret);

/* The /48 that an IPv6 source is in, which one customer of a provider may have whole; an IPv4 address is by itself. */
PeerSource peer_group(const PeerSource *source);

/*
 * Both ends of a TCP connection as text, "ADDRESS PORT LOCAL-ADDRESS LOCAL-PORT", IPv4 inside IPv6 as IPv4.
 * Returns 0 or -EAFNOSUPPORT.
 */
_must_check_ int peer_describe(
	const struct sockaddr_storage *remote, const struct sockaddr_storage *local, char ret[static WIRE_PEER_MAX]);

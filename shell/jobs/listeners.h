/* SPDX-License-Identifier: MIT */
/* Who listens for TCP connections, on which addresses, and in which cgroup. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef struct Listener {
	int family;          /* AF_INET or AF_INET6 */
	uint8_t address[16]; /* as in_addr or in6_addr */
	uint16_t port;
	bool only6; /* AF_INET6 that takes no IPv4 */
	uid_t uid;
	uint32_t inode;  /* of the socket, as links in /proc/PID/fd name it */
	uint64_t cgroup; /* where the socket was made: the inode of the cgroup's folder; 0: the kernel does not say */
} Listener;

/*
 * All that listens in this network namespace, of every user. The caller frees. Returns 0 or a negative errno.
 * Context: any process of the agent's. Privilege: none.
 * Source: sock_diag(7), with INET_DIAG_CGROUP_ID of Linux 5.9.
 */
_must_check_ int listeners_read(Listener **ret, size_t *ret_n);

/* Only this machine itself reaches it: 127.0.0.0/8, ::1, or the former written as an IPv6 address. */
bool listener_is_loopback(const Listener *listener);

/* On all addresses. */
bool listener_is_wildcard(const Listener *listener);

/* "0.0.0.0", "::1": without the port. Returns `buffer`; 48 bytes are enough. */
const char *listener_address(const Listener *listener, char *buffer, size_t size);

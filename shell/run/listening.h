/* SPDX-License-Identifier: MIT */
/* Who listens on a port. */
#pragma once

#include "shell/base/cleanup.h"

#include <sys/socket.h>
#include <sys/types.h>

/*
 * The user whose TCP socket would be given a connection from loopback to `address` (AF_INET or AF_INET6), by the kernel's
 * own lookup: wildcard, dual-stack and more specific sockets count as they do for a SYN.
 *
 * Returns 0; -ENOENT: nobody listens; another negative errno: the kernel cannot be asked.
 * Context: any process in the network namespace in question; allocates nothing. Privilege: none.
 * Source: sock_diag(7); inet_diag_find_one_icsk() in Linux's net/ipv4/inet_diag.c.
 */
_must_check_ int listening_uid(const struct sockaddr_storage *address, uid_t *ret);

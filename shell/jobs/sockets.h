/* SPDX-License-Identifier: MIT */
/* What listens for TCP in this network namespace, as the kernel tells a program without privilege (sock_diag(7)). */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef enum ListenReach {
	LISTEN_ANY,      /* from everywhere */
	LISTEN_LOOPBACK, /* from this machine alone */
	LISTEN_ADDRESS,  /* by way of one address */
} ListenReach;

typedef struct Listener {
	uint16_t port;
	ListenReach reach;
	uid_t uid;
	uint32_t inode;
	uint64_t cgroup; /* id of the cgroup in which the socket was made, which is the folder's inode number; 0: not told */
} Listener;

typedef struct Listeners {
	Listener *items; /* by port, ascending */
	size_t n;
} Listeners;

/* Everybody's, as ss -ltn tells them, too. Returns 0 or a negative errno. */
_must_check_ int listeners_read(Listeners *ret);
void listeners_done(Listeners *listeners);
#define _cleanup_listeners_ _cleanup_(listeners_done)

/* One answer of the kernel's, `n` bytes of netlink messages. Returns 1 at the end of a dump, 0 before, or a negative errno. */
_must_check_ int listeners_take(Listeners *listeners, const void *bytes, size_t n);

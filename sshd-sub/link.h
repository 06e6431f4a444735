/* SPDX-License-Identifier: MIT */
/*
 * A worker's end of the socket pair to its monitor. Answers that a worker must wait for (a signature while libssh
 * exchanges keys, a verdict before login) are waited for here; whatever else arrives meanwhile is kept for the loop.
 */
#pragma once

#include "sshd-sub/wire.h"

typedef struct LinkMessage {
	struct LinkMessage *next;
	WireHeader header;
	int fds[WIRE_FDS_MAX];
	size_t n_fds;
	uint8_t payload[];
} LinkMessage;

typedef struct Link {
	int fd; /* blocking */
	LinkMessage *kept, **kept_end;
} Link;

void link_init(Link *link, int fd);

/* Accepts NULL. Returns NULL. Closes descriptors that were not taken (set to -EBADF). */
LinkMessage *link_message_free(LinkMessage *message);
DEFINE_CLEANUP(LinkMessage, link_message_free)

/* Sends without descriptors. Returns 0 or a negative errno: the monitor is gone, and so must be the worker. */
_must_check_ int link_tell(Link *link, WireType type, uint32_t number, uint32_t value, const WireWriter *payload);

/* Sends, waits for a message of type `answer`, and hands it over. Returns 0 or a negative errno, as above. */
_must_check_ int link_ask(Link *link, WireType type, const WireWriter *payload, WireType answer, LinkMessage **ret);

/* The next message that was kept or is there. Returns 1, 0 (none now), or a negative errno (-ECONNRESET: gone). */
_must_check_ int link_next(Link *link, LinkMessage **ret);

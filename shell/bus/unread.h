/* SPDX-License-Identifier: MIT */
/*
 * Bytes that wait for a peer that does not read. sd-bus counts messages only, and keeps them in the order in which they were
 * sent: so the sizes of the newest ones tell.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define UNREAD_MESSAGES 128U /* of which the sizes are known */

typedef struct Unread {
	uint32_t bytes[UNREAD_MESSAGES]; /* a ring */
	unsigned int next;
} Unread;

void unread_add(Unread *unread, size_t bytes);

/* Bytes of the newest `queued` that were added, or of all whose sizes are known. */
uint64_t unread_bytes(const Unread *unread, uint64_t queued);

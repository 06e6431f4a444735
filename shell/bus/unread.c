/* SPDX-License-Identifier: MIT */
#include "shell/bus/unread.h"

void unread_add(Unread *unread, size_t bytes)
{
	unread->bytes[unread->next] = bytes < UINT32_MAX ? (uint32_t)bytes : UINT32_MAX;
	unread->next = (unread->next + 1) % UNREAD_MESSAGES;
}

uint64_t unread_bytes(const Unread *unread, uint64_t queued)
{
	uint64_t sum = 0;

	if (queued > UNREAD_MESSAGES)
		queued = UNREAD_MESSAGES;
	for (unsigned int i = 1; i <= queued; i++)
		sum += unread->bytes[(unread->next + UNREAD_MESSAGES - i) % UNREAD_MESSAGES];
	return sum;
}

/* SPDX-License-Identifier: MIT */
#include "sshd-sub/keepalive.h"
#include "shell/base/rate.h"

#define ROUNDS 16U /* of a busy loop, between two looks at the clock */

void keepalive_begin(Keepalive *keepalive, const Options *options)
{
	*keepalive = (Keepalive){ .interval_usec = options->keepalive_usec, .most = options->keepalives };
}

int keepalive_timeout(const Keepalive *keepalive)
{
	/* rounded up: it is never asked early, so never twice */
	return keepalive->interval_usec ? (int)(keepalive->interval_usec / 1000U) + 1 : -1;
}

KeepaliveStep keepalive_step_at(Keepalive *keepalive, uint64_t now_usec, uint64_t packets)
{
	bool heard = packets != keepalive->packets;

	if (keepalive->due_usec && now_usec < keepalive->due_usec)
		return KEEPALIVE_WAIT;
	keepalive->packets = packets;
	if (heard || !keepalive->due_usec)
		keepalive->asked = 0;
	else if (keepalive->asked == keepalive->most)
		return KEEPALIVE_GONE;
	keepalive->due_usec = now_usec + keepalive->interval_usec;
	if (heard)
		return KEEPALIVE_WAIT;
	keepalive->asked++;
	return KEEPALIVE_ASK;
}

KeepaliveStep keepalive_step(Keepalive *keepalive, bool idle, uint64_t packets)
{
	if (!keepalive->interval_usec)
		return KEEPALIVE_WAIT;
	if (!idle && ++keepalive->rounds % ROUNDS)
		return KEEPALIVE_WAIT;
	return keepalive_step_at(keepalive, clock_monotonic_usec(), packets);
}

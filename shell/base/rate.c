/* SPDX-License-Identifier: MIT */
/* The generic cell rate algorithm: one number, the time at which the bucket would be empty again. */
#include "shell/base/rate.h"

#include <time.h>

static uint64_t clock_usec(clockid_t clock)
{
	struct timespec now;

	(void)clock_gettime(clock, &now);
	return (uint64_t)now.tv_sec * 1000000U + (uint64_t)now.tv_nsec / 1000U;
}

uint64_t clock_monotonic_usec(void)
{
	return clock_usec(CLOCK_MONOTONIC);
}

uint64_t clock_realtime_usec(void)
{
	return clock_usec(CLOCK_REALTIME);
}

bool rate_take(Rate *rate, uint64_t *ret_suppressed)
{
	uint64_t now = clock_monotonic_usec();
	uint64_t from = rate->next_usec > now ? rate->next_usec : now;

	if (from - now > rate->interval_usec * (rate->burst - 1)) {
		rate->suppressed++;
		return false;
	}
	rate->next_usec = from + rate->interval_usec;
	if (ret_suppressed)
		*ret_suppressed = rate->suppressed;
	rate->suppressed = 0;
	return true;
}

/* SPDX-License-Identifier: MIT */
/* What has to be done from time to time: counts saved, addresses of names forgotten. */
#pragma once

#include "shell/enforce/enforce.h"

/* An element of a set of marks with its count, as nft(8) lists it. */
typedef struct TransferCount {
	uint32_t mark;
	uint64_t bytes;
} TransferCount;

/* Reads all of them in `text`; returns how many, at most `max`. */
size_t transfer_parse(const char *text, TransferCount *ret, size_t max);

/*
 * Saves what each agent sent and received until now. Returns 0, -ENOENT when there is no table `inet creel_network`, or
 * another negative errno.
 */
_must_check_ int transfer_save(void);

/*
 * Once a period, empties one of the two sets of addresses of each restricted agent, in turn. Returns 0 or a negative errno
 * with its reason.
 */
_must_check_ int names_forget(EnforceReason *ret_reason);

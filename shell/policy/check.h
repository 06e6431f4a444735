/* SPDX-License-Identifier: MIT */
/* Contradictions between the values of one policy. */
#pragma once

#include "shell/policy/table.h"

/* Where a row's value came from; a higher rank overrode a lower one. */
typedef enum PolicyRank {
	RANK_BUILT_IN,
	RANK_SYSTEM_PROFILE,
	RANK_SYSTEM,
	RANK_AGENT_PROFILE,
	RANK_AGENT,
} PolicyRank;

/*
 * Looks for contradictions, given each row's rank. A value that may be at most as large as another (a run's
 * memory and the agent's) and that comes from a lower rank is lowered to it - never raised - and its origin
 * says so; from the same or a higher rank it is an error. Returns 0, -ENOMEM, or -EBADMSG with `ret_error`.
 */
_must_check_ int policy_check(Policy *policy, const unsigned char rank[], PolicyError *ret_error);

/* SPDX-License-Identifier: MIT */
/* What a new agent's home has. */
#pragma once

#include "shell/operator/operator.h"

typedef struct AgentHome {
	const Agent *agent;
	const char *path;      /* the home, which is there and the agent's */
	const char *workspace; /* as the policy has it */
	const char *key_text;  /* for ~/.ssh/authorized_keys, which is not there; NULL: none goes there */
} AgentHome;

/* Fills it by a process of the agent's. Returns 0, or a negative errno with the reason; what was made until then stays. */
_must_check_ int agent_home_fill(const AgentHome *home, Reason *ret_reason);

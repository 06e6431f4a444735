/* SPDX-License-Identifier: MIT */
/* Where a forwarding leads: from the name and port that a client sent to addresses, if policy and key allow them. Pure. */
#pragma once

#include "shell/policy/policy.h"
#include "shell/session/key-options.h"

#include <sys/socket.h>

typedef struct Target {
	struct sockaddr_storage addresses[2]; /* loopback; two are tried in turn */
	size_t n;
	bool own; /* only if the agent itself listens there */
} Target;

/*
 * Judges `host` and `port` by the policy's ports.forward (`allowed`) and by the key's options. Returns NULL with the target,
 * or a constant reason for a refusal, `ret` untouched.
 */
_must_check_ const char *target_judge(
	const KeyOptions *options, const PortList *allowed, const char *host, uint32_t port, Target *ret);

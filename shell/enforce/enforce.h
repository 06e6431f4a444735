/* SPDX-License-Identifier: MIT */
/*
 * What creel-enforce does: each mechanism of the kernel that works by uid, cgroup or file system, not by process. One file
 * a mechanism. Everything here runs in creel-enforce alone: root, one thread, at boot and after each change of a policy.
 *
 * Rules for a mechanism's apply():
 *   - it makes the kernel hold what all policies say, whatever the kernel held before: run again, it changes what differs;
 *   - there is no moment without enforcement: contents of maps and sets are replaced, programs overlap;
 *   - an agent whose policy is NULL (its file is bad or gone) gets the strictest that there is, not nothing;
 *   - what belongs to nobody any more is removed;
 *   - it may be killed at any point: the next run ends in the same state.
 */
#pragma once

#include "shell/policy/enforced.h"
#include "shell/policy/policy.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Why something is not in force: one line, for the operator. */
typedef struct EnforceReason {
	char text[MECHANISM_REASON_MAX];
} EnforceReason;

/* Fills `ret_reason` and returns `error`. */
int enforce_reason(EnforceReason *ret_reason, int error, const char *format, ...) _printf_(3, 4);

typedef struct EnforceAgent {
	char *name; /* "?" when only a mark of its uid is left */
	uid_t uid;
	Policy *policy;       /* NULL: refused, or gone */
	EnforceReason failed; /* apply() fills it when it failed for this agent alone; cleared between mechanisms */
	EnforceReason runs;   /* network_apply() fills it when restricted runs cannot be told from this agent */
	Enforced enforced;    /* what will be written: creel-enforce.c's */
} EnforceAgent;

typedef struct EnforceAgents {
	EnforceAgent *items; /* one a uid, sorted by uid */
	size_t n;
	const Policy *machine; /* creel.conf alone, for what belongs to no agent; NULL: it is bad */
	StrList pins;          /* apply() adds the files below /sys/fs/bpf without which it does not hold */
} EnforceAgents;

/* Returns 0, or a negative errno with `ret_reason` filled: then it failed for every agent. */
typedef int (*MechanismApply)(EnforceAgents *agents, EnforceReason *ret_reason);

int ports_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int processes_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int strangers_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int services_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int cgroups_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int executions_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int firewall_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int network_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int restricted_apply(EnforceAgents *agents, EnforceReason *ret_reason);
int quota_apply(EnforceAgents *agents, EnforceReason *ret_reason);

/* agents.c: everybody who has a policy file or a mark, and a user. Returns 0 or a negative errno with its reason. */
_must_check_ int enforce_agents_load(EnforceAgents *ret, EnforceReason *ret_reason);
void enforce_agents_done(EnforceAgents *agents);
bool enforce_agents_has(const EnforceAgents *agents, uid_t uid);

/*
 * For each file in `path` that has the number of a uid that is no agent's any more: `forget` (may be NULL), then the file goes.
 * Returns 0, also where there is no such folder, or a negative errno with its reason.
 */
typedef int (*EnforceForget)(uid_t uid, const void *userdata, EnforceReason *ret_reason);
_must_check_ int enforce_forget_others(const char *path, const EnforceAgents *agents, EnforceForget forget,
	const void *userdata, EnforceReason *ret_reason);

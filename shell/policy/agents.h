/* SPDX-License-Identifier: MIT */
/*
 * Which agents there are. A policy file makes an agent; a mark remembers that a uid became one.
 *
 * Without marks, a policy file that is deleted or renamed would take the limits along, while the user, its lingering
 * manager and its processes stay. /etc/creel/provisioned/UID holds the agent's name and a newline. They lie below
 * /etc because the generator runs at boot before another file system than the root is there (systemd.generator(7)).
 */
#pragma once

#include "shell/policy/policy.h"

#define POLICY_MARK_DIR POLICY_DIR "/provisioned"
/* Below it, a file for each uid that an operator stopped (creelctl agent stop): until the next boot. */
#define AGENT_STOPPED_DIR "/run/creel/stopped"

/* Agents are ordinary users: below this a uid belongs to the system, above it to nobody for long (Debian policy 9.2). */
#define AGENT_UID_MIN 1000U
#define AGENT_UID_MAX 59999U

static inline bool agent_uid_in_range(uid_t uid)
{
	return uid >= AGENT_UID_MIN && uid <= AGENT_UID_MAX;
}

/*
 * Names of the policy files below `root`, sorted, without `.conf`. `ret_odd` (may be NULL) gets those that are no
 * names of agents. No folder is no agent. Returns 0 or a negative errno; then nothing was added to either.
 */
_must_check_ int agents_list(const char *root, StrList *ret, StrList *ret_odd);

typedef struct AgentMark {
	uid_t uid;
	char name[POLICY_NAME_MAX + 1]; /* "?" when the mark cannot be read or names nobody: it is a mark still */
} AgentMark;

/* All marks below `root`, sorted by uid; `ret` is new memory. Returns 0 or a negative errno. */
_must_check_ int marks_list(const char *root, AgentMark **ret, size_t *ret_n);

/* Makes the mark, and the folder. Privilege: root. Returns 0 or a negative errno. */
_must_check_ int mark_set(const char *root, uid_t uid, const char *name);

/* 0 also if there is none. */
_must_check_ int mark_clear(const char *root, uid_t uid);

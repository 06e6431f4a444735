/* SPDX-License-Identifier: MIT */
/*
 * What creel-enforce brought about for one agent, as it says itself: /run/creel/enforced/UID, one file an agent, written
 * by root, replaced as a whole. creel-enforce writes it; the keeper, the generator and creelctl read it. Lines:
 *
 *   stamp NUMBER                  policy_stamp() of the policy that was applied
 *   mechanism NAME ok             it is in force
 *   mechanism NAME failed REASON  it is not, for a reason that the operator is told
 *   pin NAME PATH                 the mechanism lasts as long as this file is there
 *
 * The names are the rows of mechanisms[], and what an agent's [agent] optional may list.
 */
#pragma once

#include "shell/policy/policy.h"

#define ENFORCED_DIR "/run/creel/enforced"
#define MECHANISMS_MAX 16U
#define MECHANISM_REASON_MAX 240U

typedef struct MechanismRow {
	const char *name;
	const char *purpose;                     /* to be read behind "does not", in a refusal */
	bool (*needed_by)(const Policy *policy); /* the policy asks for something that only this can bring about */
} MechanismRow;

/* Ends with a row without a name. */
extern const MechanismRow mechanisms[];

/* The row of a name, or -ENOENT. */
_must_check_ int mechanism_find(const char *name, size_t *ret);

typedef enum MechanismState { MECHANISM_UNKNOWN, MECHANISM_OK, MECHANISM_FAILED } MechanismState;

typedef struct MechanismResult {
	MechanismState state;
	char reason[MECHANISM_REASON_MAX]; /* of MECHANISM_FAILED */
	StrList pins;
} MechanismResult;

typedef struct Enforced {
	uint64_t stamp;
	MechanismResult results[MECHANISMS_MAX]; /* by row of mechanisms[] */
} Enforced;

void enforced_done(Enforced *enforced);
#define _cleanup_enforced_ _cleanup_(enforced_done)

/*
 * Reads it; a pin that is gone makes its mechanism failed. `root` as in policy_load(). Returns 0, -ENOENT (creel-enforce
 * has not run for this agent), -EBADMSG (not such a file, or not root's), or another negative errno; then `ret` is empty.
 * Privilege: uid 0, no capability.
 */
_must_check_ int enforced_read(const char *root, uid_t uid, Enforced *ret);

/* Replaces the file. The folder must be there. Returns 0 or a negative errno. */
_must_check_ int enforced_write(const char *root, uid_t uid, const Enforced *enforced);

/*
 * NULL when all that the policy needs is in force or optional; else `reason`, filled with what is not, ready for the
 * operator. `enforced` NULL: nothing is. `optional`: those that the policy calls optional instead of those that it does
 * not, for warnings.
 */
const char *enforced_lacks(const Enforced *enforced, const Policy *policy, bool optional, char *reason, size_t size);

/*
 * The same of what holds a restricted run of an agent that is not restricted, whatever the agent's policy needs or calls
 * optional: such a run is asked for one by one.
 */
const char *enforced_lacks_restricted(const Enforced *enforced, char *reason, size_t size);

/* It reaches names of hosts, and so has a resolver: a restricted agent, or one that has restricted runs. NULL: none. */
bool network_names(const Policy *policy);

/* ---- tables ---- */

/* of an agent's sockets: this and its uid */
#define SOCKET_MARK 0x43000000U
/* and this, of those that are made in a cgroup of this name: for them there is what [network] allowed_hosts names, and no more */
#define SOCKET_MARK_RESTRICTED 0x00800000U
#define RESTRICTED_LEAF "restricted"
#define MARK_FILE "/sys/fs/bpf/creel/mark/mark" /* the program that marks them */

#define FIREWALL_TABLE "creel"
#define NETWORK_TABLE "creel_network"
#define TABLES_DIR "/run/creel/tables" /* NAME: what TABLE_LISTING said of it when creel-enforce had made it */
#define TABLE_MAX (4U << 20)
/* the beginning of an argument vector, the table's name follows: rules and chains, without counts and elements of sets */
#define TABLE_LISTING "/usr/sbin/nft", "--numeric", "--stateless", "--terse", "list", "table", "inet"

/* ---- processes ---- */

#define PROCESS_USAGE_FILE "/sys/fs/bpf/creel/processes/usage"

typedef struct ProcessUsage {
	uint64_t count;   /* processes in the agent's slice, whosesoever; forks under way are among them */
	uint64_t limit;   /* POLICY_UNLIMITED: none */
	uint64_t refused; /* forks and executions since the machine started */
} ProcessUsage;

/*
 * What the kernel counts for `uid` now, from PROCESS_USAGE_FILE: lines "UID COUNT LIMIT REFUSED". Returns 0, -ENOENT
 * (nothing is counted for it), or another negative errno. Privilege: uid 0, no capability.
 */
_must_check_ int process_usage_read(const char *root, uid_t uid, ProcessUsage *ret);

/* Why processes cannot be counted on a kernel like the one that runs, or NULL. Asks files of `root` only. */
const char *bpf_lsm_missing(const char *root);

/*
 * For the generator: processes of this agent are counted, or will be as soon as creel-enforce runs; else limits.tasks has to
 * stand in for them.
 */
bool processes_counted(const char *root, uid_t uid);

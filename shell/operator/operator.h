/* SPDX-License-Identifier: MIT */
/*
 * What creelctl does, one file a verb. Everything here runs as root, started by the operator, in one thread;
 * the policy files are the only truth and outlive it, nothing of creel needs it at run time.
 */
#pragma once

#include "shell/base/str.h"
#include "shell/bus/limit.h"
#include "shell/policy/policy.h"

#include <stdbool.h>
#include <sys/types.h>

/* A verb gets the words behind its own name and returns the exit status: 0, 1 (failed, one line said why), 2
 * (usage). */
int policy_check_main(int argc, char **argv);
int policy_apply_main(int argc, char **argv);
int policy_show_main(int argc, char **argv);
int policy_diff_main(int argc, char **argv);
int agent_add_main(int argc, char **argv);
int agent_remove_main(int argc, char **argv);
int agent_set_main(int argc, char **argv);
int agent_list_main(int argc, char **argv);
int agent_show_main(int argc, char **argv);
int agent_lock_main(int argc, char **argv);
int agent_unlock_main(int argc, char **argv);
int agent_stop_main(int argc, char **argv);
int agent_start_main(int argc, char **argv);
int agent_freeze_main(int argc, char **argv);
int agent_thaw_main(int argc, char **argv);
int agent_key_main(int argc, char **argv);
int packages_fetch_main(int argc, char **argv);
int audit_list_main(int argc, char **argv);
int audit_show_main(int argc, char **argv);
int audit_follow_main(int argc, char **argv);
int audit_export_main(int argc, char **argv);
int audit_usage_main(int argc, char **argv);
int hostkeys_main(int argc, char **argv);
int metrics_main(int argc, char **argv);
int session_list_main(int argc, char **argv);
int session_watch_main(int argc, char **argv);
int session_kill_main(int argc, char **argv);
int session_recordings_main(int argc, char **argv);
int session_recording_main(int argc, char **argv);
int doctor_main(int argc, char **argv);

#define EXIT_USAGE 2

/* One option of a verb; exactly one of the three pointers is set. A row without a name ends the list. */
typedef struct WordOption {
	const char *name;
	bool *flag;         /* stands alone */
	const char **value; /* takes the next word */
	StrList *list;      /* takes the next word, may be repeated */
} WordOption;

/*
 * Options and at most one other word, in any order; behind `--` nothing is an option. `ret_name` is that word
 * or NULL; a NULL `ret_name` means that there may be none. Returns 0, -EINVAL (wrong usage, after it said which word) or -ENOMEM.
 */
_must_check_ int words_parse(int argc, char **argv, const WordOption *options, const char **ret_name);

/* Why something failed: one line for the operator. */
typedef struct Reason {
	char text[1024];
} Reason;

/* Fills `ret_reason` and returns `error`. */
int reason_set(Reason *ret_reason, int error, const char *format, ...) _printf_(3, 4);

/* What each agent is in the user table: the system bus, polkit and the operator's sshd know agents by the group. */
#define AGENTS_GROUP "creel-agents"
#define AGENT_LOGIN_SHELL CREEL_LIBEXECDIR "/creel-shell"

/* ---- agent.c: what the system knows about an agent ---- */

typedef struct Agent {
	char *name;
	char *file; /* the policy file's path */
	bool has_file;
	bool marked;     /* it was provisioned once (shell/policy/agents.h); an agent without a file is disabled */
	bool has_user;   /* the rest is valid only then */
	bool uid_marked; /* ... as this very user */
	uid_t uid;
	gid_t gid;
	char *home, *shell;
	bool locked; /* the account has expired */
} Agent;

/* Returns 0 (whether or not anything of that name exists), -EINVAL (not a name), or another negative errno.
 */
_must_check_ int agent_find(const char *name, Agent *ret, Reason *ret_reason);
void agent_done(Agent *agent);

/* The same; -ENOENT unless it is an agent now: it has a policy file, and a user with an agent's uid. `ret` is filled all the same. */
_must_check_ int agent_require(const char *name, Agent *ret, Reason *ret_reason);

/* The user exists and its uid is in the agents' range (1000 to 59999). */
bool agent_uid_valid(const Agent *agent);

/* Names of all policy files in /etc/creel/agents and of all marks, sorted. */
_must_check_ int agent_names(StrList *ret, Reason *ret_reason);

/* secrets.c: what that uid gave its keeper to keep. Returns 0, or a negative errno with the reason. */
_must_check_ int secrets_forget(uid_t uid, Reason *ret_reason);

/* agent-list.c: in a word, how it is. Fills `ret_policy` where the policy is good. */
const char *agent_state(const Agent *agent, Policy **ret_policy, PolicyError *ret_error);

/*
 * Whether user and mark have parted: the uid that was made this agent is a user of another name's now, or this user's uid was made an
 * agent of another name. Then `ret_uid` is that uid, and `ret_name` the other name. Returns 1, 0 or a negative errno.
 */
_must_check_ int agent_renamed(const Agent *agent, uid_t *ret_uid, char ret_name[static POLICY_NAME_MAX + 1]);

/* Clears every mark with the agent's name, and that of its uid. */
_must_check_ int agent_unmark(const Agent *agent, Reason *ret_reason);

/* One creelctl changes agents at a time: waits for the lock, which the returned descriptor holds. */
_must_check_ int agents_lock(int *ret_fd, Reason *ret_reason);

/* ---- agent-set.c ---- */

/* `text`, of a policy file, with "SECTION.KEY=VALUE" in it. Returns 0, or a negative errno with the reason. */
_must_check_ int setting_put(char **text, const char *word, Reason *ret_reason);

/* ---- as-agent.c ---- */

/*
 * Calls `act` in a child that has the agent's file system uid, no other groups and umask 077: nothing that it put in its home can be followed
 * with root's rights, and it cannot stop the child. Returns what `act` does, 0 or a negative errno; -EPROTO when a signal ended it.
 */
_must_check_ int agent_act(const Agent *agent, int (*act)(const void *data), const void *data);

/* ---- command.c: other programs ---- */

/*
 * For what is only asked: runs `argv` as command_run() does, but no longer than `seconds`, and `ret_output` (may be NULL)
 * gets what it printed, at most 64 KiB, whatever its exit status. Returns its exit status; -ETIMEDOUT; another negative
 * errno. `ret_output` is untouched then.
 */
_must_check_ int command_output(const char *const argv[], unsigned int seconds, char **ret_output, Reason *ret_reason);

/*
 * Runs `argv` (NULL-terminated, absolute path first), without a shell, with no input, in a process group of
 * its own so that the terminal's Ctrl-C does not end it half-way. Returns its exit status (0..255); -EPROTO
 * when a signal ended it; another negative errno. Unless 0, `ret_reason` has the last line that it printed.
 */
_must_check_ int command_run(const char *const argv[], Reason *ret_reason);

/* ---- enforce.c: what the kernel holds for all agents ---- */

/*
 * Runs creel-enforce. As command_run(): 1 says that something is not in force for somebody, which enforce_check() tells of
 * each agent.
 */
_must_check_ int enforce_run(Reason *ret_reason);

/* Returns 0, or -EOPNOTSUPP with the reason for which this agent's logins are refused. */
_must_check_ int enforce_check(uid_t uid, const Policy *policy, Reason *ret_reason);

/* ---- policy-apply.c: files that changed take effect ---- */

/* For all agents together, once. Returns 0, or as command_run(). */
_must_check_ int policy_apply_begin(Reason *ret_reason);

/* Then for each that may have changed: EXIT_SUCCESS, or EXIT_FAILURE after it said why. */
_must_check_ int policy_apply_agent(const char *name);

/* ---- recording.c ---- */

/*
 * Into the record: creelctl was called with these words and ended with that status; `agent` is whom it was about, or NULL.
 * `began_usec`: CLOCK_MONOTONIC. A failure is told on stderr. What was sent is empty afterwards, in `argv` itself.
 */
void operator_record(const char *agent, int argc, char **argv, int status, uint64_t began_usec);

/* ---- reload.c ---- */

/* Units are generated and read again, and the kernel has the limits of slices that run. Returns 0 or what systemctl came to. */
_must_check_ int units_reload(Reason *ret_reason);

/*
 * Writes to the slices below the folder `user_slice` that run, and to this one, the limits of their drop-ins below `generated` that they
 * lack. Returns 0 or a negative errno.
 */
_must_check_ int limits_hold(const char *generated, const char *user_slice, Reason *ret_reason);

/* ---- units.c: the agent's units and processes ---- */

_must_check_ int units_start(uid_t uid, Reason *ret_reason);

/*
 * Ends everything of `uid`: keeper first, so that nothing new is born, then its user manager, leaves and
 * slice, then whatever escaped from it. Returns 0 when no process of that uid is left, or a negative errno.
 */
_must_check_ int units_end(const char *name, uid_t uid, Reason *ret_reason);

/* Ends the same and keeps what starts it at boot. The agent is marked as stopped by the caller. */
_must_check_ int units_stop(const char *name, uid_t uid, Reason *ret_reason);

/* An operator stopped it: what follows from policies does not start it. Forgotten at boot. */
bool units_are_stopped(uid_t uid);
_must_check_ int units_stopped_set(uid_t uid, bool stopped, Reason *ret_reason);

/* ---- usage.c: limits beside use ---- */

#define LIMIT_ROWS 4U

/* What the kernel's files say, in the order of the rows of `Limits` (shell/bus/limit.h). */
typedef struct LimitRow {
	const char *name, *key; /* on the bus; in [limits] */
	uint64_t limit, used;   /* bytes, counts, microseconds; UINT64_MAX: no limit */
} LimitRow;

/* Memory, swap, processes and CPU time of the agent's slice, from the kernel. Zero use when nothing runs. */
void usage_read(uid_t uid, LimitRow ret[static LIMIT_ROWS]);

typedef struct UsageText {
	char limit[24], use[24];
} UsageText;

/* The same as text, which `text` holds; the origin is the policy's (NULL: none). */
Limit usage_row(const LimitRow *row, const Policy *policy, UsageText *text);

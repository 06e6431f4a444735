/* SPDX-License-Identifier: MIT */
/*
 * Confinement: policy applied to a process, in the one order that holds (architecture.md, Confinement):
 * limits -> capabilities -> identity -> keyring -> no_new_privs -> Landlock -> system call filter -> execve. The cgroup
 * leaf was chosen before.
 *
 * Prepare in the parent (may allocate), apply in the child (must not): between clone and execve there is no allocation, no
 * stdio, no lock. Each step that does not return 0 is fatal for the child.
 *
 * Who uses it: the keeper (prepares once a policy, applies in each child), and programs that the agent itself runs before
 * anything of its choice - creel-shell, the user manager's wrapper - which prepare and apply in one process. What an agent
 * cannot open for itself while it prepares is granted to nobody: a missing rule only takes away.
 *
 * The one exception to 'prepare in the parent': rules about files in a mount namespace that is made after clone (view.h) are
 * rights on inodes that were not there before. Then the parent prepares what costs time (paths, lists of programs), and the
 * child makes the rules of it. That allocates, which is sound there because the child is a copy of a process of one thread.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/confine/filter.h"
#include "shell/confine/watch.h"
#include "shell/policy/policy.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/types.h>

typedef struct ConfinementRequest {
	const Policy *policy;
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* borrowed; must outlive the confinement */
	size_t n_groups;
	const char *home; /* absolute */
	/*
	 * For the user manager, and so for what it starts: may also write the cgroup that is delegated to it, and execute
	 * systemd's own helpers where [commands] allow names the rest.
	 */
	bool manager;
	/*
	 * For what a bash run gets on top of the rest (confinement_narrow()): the rights on programs are those of [exec]
	 * bash_allow and bash_deny, and not of [commands] allow and deny.
	 */
	bool bash;
	/* Leaves the rules about files to the child (confinement_make_rules()); `policy` must outlive the confinement then. */
	bool late;
} ConfinementRequest;

typedef struct LateRules LateRules;

typedef struct Confinement {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* borrowed */
	size_t n_groups;
	int oom_score_adjust;
	struct rlimit open_files, file_size;
	int last_capability;
	int ruleset_fd;  /* Landlock; owned, close-on-exec; -EBADF: the policy does without where the kernel has none */
	LateRules *late; /* owned; NULL unless asked for: then ruleset_fd is unset until confinement_make_rules() */
	Filter filter;   /* owned */
	Watch watch;     /* owned: what the rules were made from ... */
	uint64_t stamp;  /* ... and what it looked like then */
} Confinement;

/* Nothing prepared yet; confinement_done() does nothing to it. */
#define CONFINEMENT_NONE ((Confinement){ .ruleset_fd = -EBADF })

/*
 * Returns 0 or a negative errno with `ret_error` filled: a sentence for the operator's log and the agent. `ret` is untouched
 * on failure. Paths are opened here, never through a symbolic link that the agent could have put in the way.
 * Context: keeper, before clone; or the agent's own process, before confinement_apply_own(). Privilege: none needed.
 */
_must_check_ int confinement_prepare(const ConfinementRequest *request, Confinement *ret, PolicyError *ret_error);

/*
 * What the rules were made from is as it was: package upgrades make new inodes, and rights are rights on inodes. Some dozen
 * stat(2) calls; false: prepare anew. Processes that are already confined keep what they have.
 */
bool confinement_is_current(const Confinement *confinement);

/* Closes and frees; leaves CONFINEMENT_NONE behind. */
void confinement_done(Confinement *confinement);

/*
 * Context: child, after clone; async-signal-safe. Privilege: needs CAP_SETUID, CAP_SETGID, CAP_SETPCAP and
 * CAP_SYS_RESOURCE, and drops all of them for good. `ruleset_fd` must still be open, and is closed in this process.
 * Returns 0, or a negative errno with the name of the step that failed.
 */
_must_check_ int confinement_apply(const Confinement *confinement, const char **ret_step);

/*
 * A second confinement on top of one that was applied: what either refuses is refused. Its rules about files and its filter of
 * calls count, all else was applied with the first. Closes its `ruleset_fd` in this process.
 * Context and returns: as confinement_apply(). Privilege: none.
 */
_must_check_ int confinement_narrow(const Confinement *confinement, const char **ret_step);

/*
 * Makes the rules of a confinement that left them for later; `*ret_fd` takes the place of its ruleset_fd. Does nothing to one
 * that has them: `*ret_fd` is its own then. Returns 0 or a negative errno.
 * Context: child, after clone and after view_enter(); single-threaded, allocates. Privilege: as confinement_prepare().
 */
_must_check_ int confinement_make_rules(const Confinement *confinement, int *ret_fd);

/*
 * The same for a process that is the agent already (creel-shell, the user manager's wrapper): no identity to take; limits
 * are lowered to the policy's where they are higher. -EPERM when the process is not that agent. Closes nothing.
 * Context: single-threaded. Privilege: none.
 */
_must_check_ int confinement_apply_own(const Confinement *confinement, const char **ret_step);

/* SPDX-License-Identifier: MIT */
/*
 * Confinement: policy applied to a process, in the one order that holds (architecture.md section 4):
 * limits -> identity -> no_new_privs -> execve. The cgroup leaf was chosen at birth.
 *
 * Prepare in the parent (may allocate), apply in the child (must not): between clone and execve there is no
 * allocation, no stdio, no lock. Each step that does not return 0 is fatal for the child.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/policy/policy.h"

#include <stddef.h>
#include <sys/resource.h>
#include <sys/types.h>

typedef struct Confinement {
	uid_t uid;
	gid_t gid;
	const gid_t *groups; /* borrowed; must outlive the confinement */
	size_t n_groups;
	int oom_score_adjust;
	struct rlimit open_files, file_size;
	int last_capability;
} Confinement;

/* Context: keeper, before clone. Reads the kernel's last capability; returns 0 or a negative errno. */
_must_check_ int confinement_prepare(
	const Policy *policy, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups, Confinement *ret);

/*
 * Context: child, after clone; async-signal-safe. Privilege: needs CAP_SETUID, CAP_SETGID, CAP_SETPCAP and
 * CAP_SYS_RESOURCE, and drops all of them for good.
 * Returns 0, or a negative errno with the name of the step that failed.
 */
_must_check_ int confinement_apply(const Confinement *confinement, const char **ret_step);

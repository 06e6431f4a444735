/* SPDX-License-Identifier: MIT */
/*
 * Gives each socket that an agent makes the agent's mark (network.h): what listens, and what comes of it, can then be told
 * apart by the firewall when a packet arrives. An agent cannot change it: SO_MARK needs CAP_NET_ADMIN or CAP_NET_RAW.
 *
 * A socket that is made in a cgroup called "restricted" is marked as such, besides. The keeper makes that in the leaf of a run
 * which is to reach less than its agent. An agent may give this name to cgroups of its user manager's: it would only take away
 * from itself. What cannot be read counts as that name.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>

#include "shell/enforce/shared.h"

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
struct kernfs_node {
	const char *name;
} __attribute__((preserve_access_index));

struct cgroup {
	struct kernfs_node *kn;
} __attribute__((preserve_access_index));

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

struct task_struct {
	struct css_set *cgroups;
} __attribute__((preserve_access_index));

static __always_inline int is_restricted(void)
{
	static const char name[] = SHARED_RESTRICTED_LEAF;
	struct task_struct *task = (struct task_struct *)bpf_get_current_task();
	char text[sizeof(name) + 1];

	if (bpf_probe_read_kernel_str(text, sizeof(text), BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, name)) < 0)
		return 1;
	for (unsigned int i = 0; i < sizeof(name); i++)
		if (text[i] != name[i])
			return 0;
	return 1;
}

SEC("cgroup/sock_create")
int mark(struct bpf_sock *socket)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid();

	if (uid >= SHARED_UID_MIN && uid <= SHARED_UID_MAX)
		socket->mark = SHARED_MARK | uid | (is_restricted() ? SHARED_MARK_RESTRICTED : 0);
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";

/* SPDX-License-Identifier: MIT */
/*
 * Gives each socket that an agent makes the agent's mark (network.h): what listens, and what comes of it, can then be told
 * apart by the firewall when a packet arrives. An agent cannot change it: SO_MARK needs CAP_NET_ADMIN or CAP_NET_RAW.
 */
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#include "shell/enforce/shared.h"

SEC("cgroup/sock_create")
int mark(struct bpf_sock *socket)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid();

	if (uid >= SHARED_UID_MIN && uid <= SHARED_UID_MAX)
		socket->mark = SHARED_MARK | uid;
	return 1;
}

char _license[] SEC("license") = "Dual MIT/GPL";

/* SPDX-License-Identifier: MIT */
/*
 * Cgroups, in the kernel: an agent makes no more of them when its slice has many, those included that are gone by name only.
 *
 * cgroup.max.descendants counts those that are there. One that was removed stays in memory for as long as a page that was charged
 * to it does, and that may be one page of a file in /dev/shm; what it costs the kernel is charged to nobody.
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shell/enforce/confined.bpf.h"
#include "shell/enforce/earlier.bpf.h"

#define CGROUP2_SUPER_MAGIC 0x63677270
#define SLICE_LEVEL 2 /* user.slice/user-UID.slice */
#define EAGAIN 11

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
struct super_block {
	unsigned long s_magic;
} __attribute__((preserve_access_index));

struct inode {
	struct super_block *i_sb;
	void *i_private; /* in kernfs: the node */
} __attribute__((preserve_access_index));

struct kernfs_node {
	void *priv; /* of a folder of cgroup2: the cgroup */
} __attribute__((preserve_access_index));

struct cgroup {
	int level, nr_descendants, nr_dying_descendants;
	struct cgroup *ancestors[]; /* Linux 6.1 */
} __attribute__((preserve_access_index));

struct dentry;

SEC("lsm/inode_mkdir")
int BPF_PROG(inode_mkdir, struct inode *parent, struct dentry *entry, unsigned short mode, int ret)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid(), *most;
	struct cgroup *cgroup = 0, *slice = 0;
	struct kernfs_node *node;

	if (ret || parent->i_sb->s_magic != CGROUP2_SUPER_MAGIC)
		return earlier(ret);
	most = bpf_map_lookup_elem(&confined, &uid);
	if (!most)
		return 0;
	node = parent->i_private;
	if (bpf_core_read(&cgroup, sizeof(cgroup), &node->priv) < 0 || BPF_CORE_READ(cgroup, level) < SLICE_LEVEL ||
		bpf_core_read(&slice, sizeof(slice), &cgroup->ancestors[SLICE_LEVEL]) < 0)
		return -EAGAIN; /* none of its own */
	if ((__u32)(BPF_CORE_READ(slice, nr_descendants) + BPF_CORE_READ(slice, nr_dying_descendants)) >= *most)
		return -EAGAIN;
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";

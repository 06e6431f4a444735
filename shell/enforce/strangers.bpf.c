/* SPDX-License-Identifier: MIT */
/*
 * Strangers, in the kernel: an agent cannot look into /proc/PID of processes that are not its own. Their command lines hold
 * secrets, and are readable to all by the modes of their files.
 *
 * Not by /proc's hidepid=: that asks whether one process may trace the other, and two logins of one agent are Landlock domains
 * side by side, which may not. An agent would lose sight of its own servers. Here the uid alone counts, as the owner of
 * the folder says it: /proc/PID belongs to the effective uid of its process, also where its files do not (proc(5), a process
 * that is not dumpable). Whatever lies in the folder is reached through it, by path or from an open descriptor.
 *
 * That a process exists stays visible, as it does to kill(2).
 */
#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#include "shell/enforce/confined.bpf.h"
#include "shell/enforce/earlier.bpf.h"

#define PROC_SUPER_MAGIC 0x9fa0
#define S_IFMT 0170000
#define S_IFDIR 0040000
#define S_IFREG 0100000
#define PROC_FOLDER \
	0555 /* /proc/PID and task/TID. Others below belong to root where a process is not dumpable (proc(5)) */
#define WRITTEN_BY_OTHERS 0022
#define FMODE_WRITE 2
#define EACCES 13

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
typedef struct {
	unsigned int val;
} kuid_t;

struct super_block {
	unsigned long s_magic;
} __attribute__((preserve_access_index));

struct inode {
	unsigned short i_mode;
	kuid_t i_uid;
	struct super_block *i_sb;
} __attribute__((preserve_access_index));

struct file {
	unsigned int f_mode;
	struct inode *f_inode;
} __attribute__((preserve_access_index));

struct pid;

struct proc_inode {
	struct pid *pid; /* of a folder or file of a process, NULL for all else in /proc */
	struct inode vfs_inode;
} __attribute__((preserve_access_index));

static __always_inline int is_of_process(struct inode *inode)
{
	const void *whole = (const void *)inode - bpf_core_field_offset(struct proc_inode, vfs_inode);
	struct pid *pid = 0;

	/* what cannot be read is taken for one */
	return bpf_probe_read_kernel(&pid, sizeof(pid), whole + bpf_core_field_offset(struct proc_inode, pid)) < 0 ||
	       pid;
}

/* For each step of each path, so that the cheapest question comes first. */
SEC("lsm/inode_permission")
int BPF_PROG(inode_permission, struct inode *inode, int mask, int ret)
{
	__u32 uid;

	if (ret || inode->i_sb->s_magic != PROC_SUPER_MAGIC || inode->i_mode != (S_IFDIR | PROC_FOLDER))
		return earlier(ret);
	uid = (__u32)bpf_get_current_uid_gid();
	if (inode->i_uid.val == uid || !bpf_map_lookup_elem(&confined, &uid) || !is_of_process(inode))
		return 0;
	return -EACCES;
}

/*
 * utmp, wtmp, lastlog: everybody may read them, so everybody could hold a lock that login, sshd and su then wait for, ten seconds
 * each. Where the mode lets others than the owner write, a lock says that somebody writes; readers of such files take none. Of
 * root's files it takes none at all that it cannot write: package tools give up where their files are locked.
 */
SEC("lsm/file_lock")
int BPF_PROG(file_lock, struct file *file, unsigned int cmd, int ret)
{
	struct inode *inode = file->f_inode;
	__u32 uid = (__u32)bpf_get_current_uid_gid();

	if (ret || (file->f_mode & FMODE_WRITE) || inode->i_uid.val == uid ||
		(inode->i_uid.val != 0 && !(inode->i_mode & WRITTEN_BY_OTHERS)) ||
		(inode->i_mode & S_IFMT) != S_IFREG || !bpf_map_lookup_elem(&confined, &uid))
		return earlier(ret);
	return -EACCES;
}

char _license[] SEC("license") = "Dual MIT/GPL";

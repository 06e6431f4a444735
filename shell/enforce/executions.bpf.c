/* SPDX-License-Identifier: MIT */
/*
 * Executions, in the kernel: what each agent executes, with its arguments, told to its keeper, who writes it down. Nothing is refused
 * here. Each agent has a ring of its own: one that fills it loses its own, and how many is told with the next that fits.
 *
 * The real uid counts, which a program of another owner's with the set-user-ID bit keeps. Arguments are what the kernel put on the
 * new program's stack, before it could change them.
 */
#include "shell/enforce/shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
struct mm_struct {
	unsigned long arg_start, arg_end;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid;
	struct mm_struct *mm;
	struct task_struct *real_parent;
} __attribute__((preserve_access_index));

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

struct ring {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, EXECUTIONS_RING);
};

/* By uid; creel-enforce makes the rings. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH_OF_MAPS);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u32);
	__array(values, struct ring);
} rings SEC(".maps");

/* By uid: what found no room in the ring, since the first. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

/* Of each processor, on which one program of this kind runs at a time. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct execution);
} scratch SEC(".maps");

static __always_inline void count_lost(__u32 uid)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &uid);
	const __u64 one = 1;

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		(void)bpf_map_update_elem(&lost, &uid, &one, BPF_NOEXIST);
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(sched_process_exec, struct task_struct *task, int old_pid, struct linux_binprm *bprm)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid(), zero = 0;
	void *ring = bpf_map_lookup_elem(&rings, &uid);
	struct execution *event;
	unsigned long start, n;
	__u64 *count;

	if (!ring)
		return 0;
	event = bpf_map_lookup_elem(&scratch, &zero);
	if (!event)
		return 0;
	count = bpf_map_lookup_elem(&lost, &uid);
	event->lost = count ? *count : 0;
	event->cgroup = bpf_get_current_cgroup_id();
	event->pid = (__u32)task->tgid;
	event->parent = (__u32)task->real_parent->tgid;
	event->program[0] = 0;
	(void)bpf_probe_read_kernel_str(event->program, sizeof(event->program), bprm->filename);
	start = task->mm->arg_start;
	n = task->mm->arg_end - start;
	event->bytes = (__u32)n;
	if (n > sizeof(event->arguments))
		n = sizeof(event->arguments);
	if (bpf_probe_read_user(event->arguments, (__u32)n, (const void *)start) < 0)
		event->bytes = n = 0;
	if (bpf_ringbuf_output(ring, event, __builtin_offsetof(struct execution, arguments) + n, 0) < 0)
		count_lost(uid);
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";

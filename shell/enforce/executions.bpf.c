/* SPDX-License-Identifier: MIT */
/*
 * Executions, in the kernel: what each agent executes, with its arguments, told to its keeper, who writes it down. Nothing is refused
 * here. Each agent has a ring of its own: one that fills it loses its own, and how many is told with the next that fits.
 *
 * Of what the agent's user manager starts for its units, the beginning and the end are told as well: with the name of the cgroup,
 * which is the manager's word, how it ended and what it used, which is the kernel's.
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
struct kernfs_node {
	const char *name;
} __attribute__((preserve_access_index));

struct cgroup {
	int level;
	struct kernfs_node *kn;
	struct cgroup *ancestors[]; /* Linux 6.1 */
} __attribute__((preserve_access_index));

struct css_set {
	struct cgroup *dfl_cgrp;
} __attribute__((preserve_access_index));

typedef struct {
	int counter;
} atomic_t;

struct signal_struct {
	atomic_t live; /* threads that have not ended */
	unsigned int flags;
	int group_exit_code;
	__u64 cutime, cstime;                 /* of the descendants that were waited for */
	unsigned long long sum_sched_runtime; /* of threads that are gone */
	unsigned long maxrss, cmaxrss;        /* pages */
} __attribute__((preserve_access_index));

struct sched_entity {
	__u64 sum_exec_runtime;
} __attribute__((preserve_access_index));

struct mm_struct {
	unsigned long arg_start, arg_end;
} __attribute__((preserve_access_index));

struct task_struct {
	int tgid, exit_code;
	__u64 start_time; /* CLOCK_MONOTONIC */
	struct mm_struct *mm;
	struct task_struct *real_parent, *group_leader;
	struct css_set *cgroups;
	struct signal_struct *signal;
	struct sched_entity se;
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

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct execution_unit);
} scratch_of_ends SEC(".maps");

/* By process: what user managers started and is not over; the number of its cgroup. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, __u64);
} started SEC(".maps");

static __always_inline void count_lost(__u32 uid)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &uid);
	const __u64 one = 1;

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		(void)bpf_map_update_elem(&lost, &uid, &one, BPF_NOEXIST);
}

/* ---- units ---- */

#define MANAGER_LEVEL 3 /* user.slice/user-UID.slice/user@UID.service */
#define SIGNAL_GROUP_EXIT 4U

static __always_inline struct cgroup *cgroup_of(struct task_struct *task)
{
	return BPF_CORE_READ(task, cgroups, dfl_cgrp);
}

static __always_inline struct cgroup *manager_of(struct cgroup *cgroup)
{
	struct cgroup *found = 0;
	char name[6] = { 0 };

	if (!cgroup || BPF_CORE_READ(cgroup, level) <= MANAGER_LEVEL ||
		bpf_core_read(&found, sizeof(found), &cgroup->ancestors[MANAGER_LEVEL]) < 0 || !found)
		return 0;
	if (bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(found, kn, name)) < 0)
		return 0;
	return name[0] == 'u' && name[1] == 's' && name[2] == 'e' && name[3] == 'r' && name[4] == '@' ? found : 0;
}

static __always_inline int is_init_scope(struct cgroup *cgroup)
{
	static const char expected[] = "init.scope";
	char name[16] = { 0 };

	if (bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(cgroup, kn, name)) < 0)
		return 0;
	for (__u32 i = 0; i < sizeof(expected); i++)
		if (name[i] != expected[i])
			return 0;
	return 1;
}

/* Its parent is the user manager, and it lies in another cgroup of that one's: in a unit's. */
static __always_inline int is_of_unit(struct task_struct *task)
{
	struct cgroup *cgroup = cgroup_of(task), *parents = cgroup_of(task->real_parent);
	struct cgroup *manager = manager_of(cgroup);

	return manager && cgroup != parents && manager_of(parents) == manager && is_init_scope(parents);
}

static __always_inline void tell_unit(__u32 uid, void *ring, struct task_struct *task, struct execution_unit *event)
{
	const __u64 *count = bpf_map_lookup_elem(&lost, &uid);

	event->lost = count ? *count : 0;
	event->pid = (__u32)BPF_CORE_READ(task, tgid);
	event->parent = (__u32)BPF_CORE_READ(task, real_parent, tgid);
	event->unit[0] = 0;
	(void)bpf_probe_read_kernel_str(event->unit, sizeof(event->unit), BPF_CORE_READ(cgroup_of(task), kn, name));
	if (bpf_ringbuf_output(ring, event, sizeof(*event), 0) < 0)
		count_lost(uid);
}

/* Once a process: at its first execution in the unit's cgroup. */
static __always_inline void unit_begins(__u32 uid, void *ring, struct task_struct *task, void *room)
{
	__u32 pid = (__u32)task->tgid;
	const __u64 cgroup = bpf_get_current_cgroup_id();
	struct execution_unit *event = room;

	/* an int before Linux 6.4 (processes.bpf.c) */
	if (!is_of_unit(task) || (int)bpf_map_update_elem(&started, &pid, &cgroup, BPF_NOEXIST) < 0)
		return;
	event->what = EXECUTION_UNIT_BEGINS;
	event->cgroup = cgroup;
	event->status = 0;
	event->duration_nsec = event->cpu_nsec = event->memory_pages = 0;
	tell_unit(uid, ring, task, event);
}

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	__u32 uid = (__u32)bpf_get_current_uid_gid(), pid = (__u32)task->tgid, zero = 0;
	struct task_struct *leader = task->group_leader;
	struct signal_struct *signal = task->signal;
	void *ring = bpf_map_lookup_elem(&rings, &uid);
	struct execution_unit *event = bpf_map_lookup_elem(&scratch_of_ends, &zero);
	__u64 *cgroup;

	if (signal->live.counter > 0)
		return 0;
	cgroup = bpf_map_lookup_elem(&started, &pid);
	if (!cgroup)
		return 0;
	if (event)
		event->cgroup = *cgroup;
	/* two last threads may both see that none is left */
	if ((int)bpf_map_delete_elem(&started, &pid) < 0 || !ring || !event)
		return 0;
	event->what = EXECUTION_UNIT_ENDS;
	event->status = (__u32)(signal->flags & SIGNAL_GROUP_EXIT ? signal->group_exit_code : leader->exit_code);
	event->duration_nsec = bpf_ktime_get_ns() - leader->start_time;
	/* a thread's own time is added when it is gone, which the last and the first are not yet */
	event->cpu_nsec = signal->sum_sched_runtime + task->se.sum_exec_runtime + signal->cutime + signal->cstime;
	if (leader != task)
		event->cpu_nsec += leader->se.sum_exec_runtime;
	event->memory_pages = signal->maxrss > signal->cmaxrss ? signal->maxrss : signal->cmaxrss;
	tell_unit(uid, ring, task, event);
	return 0;
}

/* ---- executions ---- */

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
	unit_begins(uid, ring, task, event);
	count = bpf_map_lookup_elem(&lost, &uid);
	event->lost = count ? *count : 0;
	event->cgroup = bpf_get_current_cgroup_id();
	event->pid = (__u32)task->tgid;
	event->parent = (__u32)task->real_parent->tgid;
	event->what = EXECUTION_OF_PROGRAM;
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

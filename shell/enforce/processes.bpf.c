/* SPDX-License-Identifier: MIT */
/*
 * Processes, in the kernel: how many live in each agent's slice, and no fork beyond its limit. A process is what people
 * count: a thread group with at least one thread that has not ended. The pids controller counts threads, and the dead that
 * nobody has waited for; it stays as limits.tasks.
 *
 * A process in user.slice/user-UID.slice counts for UID, wherever in it and whoever's. Its entry in `alive` is what is
 * counted, and has the slice's uid in its key: making it counts, removing it discounts, each once, whoever comes first.
 *
 *   task_alloc           a fork asks: a place is reserved, or the fork ends with EAGAIN
 *   task_newtask         the fork succeeded: the reservation becomes an entry
 *   task_free            the fork failed later: the reservation is given back
 *   sched_process_exit   the last thread ends: the entry goes. Two last threads may both see that none is left
 *   cgroup_attach_task   root moved it: the entry goes along, from slice to slice, or out, or in
 *   bprm_creds_for_exec  whoever came in without asking (born by the keeper from outside, moved by root) asks now: beyond
 *                        the limit it cannot execute anything, and what it forks asks in any case
 *
 * What cannot be entered is refused, never let through uncounted. An entry is made before the process can run, and a check
 * for its last thread follows where it might have ended meanwhile.
 */
#include "shell/enforce/earlier.bpf.h"
#include "shell/enforce/shared.h"

#include <linux/bpf.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define CLONE_THREAD 0x00010000
#define EAGAIN 11

#define SLICES_LEVEL 1 /* user.slice */
#define SLICE_LEVEL 2  /* user-UID.slice */

/* The parts of the kernel's types that are read here; the loader finds where they are in the running kernel. */
struct kernfs_node {
	const char *name;
	__u64 id; /* never given to another cgroup (Linux 5.5) */
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
} __attribute__((preserve_access_index));

struct task_struct {
	struct css_set *cgroups;
	struct signal_struct *signal;
	struct task_struct *group_leader;
} __attribute__((preserve_access_index));

struct linux_binprm;

struct seq_file;

struct bpf_iter_meta {
	struct seq_file *seq;
} __attribute__((preserve_access_index));

struct bpf_iter__task {
	struct bpf_iter_meta *meta;
	struct task_struct *task;
} __attribute__((preserve_access_index));

struct bpf_iter__bpf_map_elem {
	struct bpf_iter_meta *meta;
	void *map;
	void *key;
	void *value;
} __attribute__((preserve_access_index));

/* By uid: processes that the policy allows. Without a row nothing is counted: not an agent's slice. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} limits SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, AGENTS_MAX);
	__type(key, __u64);
	__type(value, struct process_count);
} counts SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PROCESSES_MAX);
	__type(key, struct process_key);
	__type(value, struct process_state);
} alive SEC(".maps");

/* By the address of a task in the making: for whom its place is reserved. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FORKS_MAX);
	__type(key, __u64);
	__type(value, __u64);
} forks SEC(".maps");

/* One number: places in `alive` that are taken or reserved, of all agents. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} places SEC(".maps");

/* By the cgroup below user.slice, or another one at its level: the uid that its name tells, or 0. No cgroup changes its name. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, SLICES_MAX);
	__type(key, __u64);
	__type(value, __u64);
} slices SEC(".maps");

/* ---- whose slice ---- */

/* The number in "user-1000.slice"; 0: not such a name. */
static __always_inline __u64 uid_of_name(const char *name)
{
	static const char suffix[] = ".slice";
	char text[32] = { 0 };
	__u64 uid = 0;
	__u32 at = 5;

	if (bpf_probe_read_kernel_str(text, sizeof(text), name) < 0)
		return 0;
	if (text[0] != 'u' || text[1] != 's' || text[2] != 'e' || text[3] != 'r' || text[4] != '-')
		return 0;
	for (__u32 i = 0; i < 6; i++) {
		char c = text[at];

		if (c < '0' || c > '9')
			break;
		uid = uid * 10 + (__u64)(c - '0');
		at++;
	}
	for (__u32 i = 0; i < sizeof(suffix); i++)
		if (text[at + i] != suffix[i])
			return 0;
	return uid;
}

static __always_inline int is_slices(const char *name)
{
	static const char expected[] = "user.slice";
	char text[16] = { 0 };

	if (bpf_probe_read_kernel_str(text, sizeof(text), name) < 0)
		return 0;
	for (__u32 i = 0; i < sizeof(expected); i++)
		if (text[i] != expected[i])
			return 0;
	return 1;
}

static __always_inline struct cgroup *ancestor(struct cgroup *cgroup, __u32 level)
{
	struct cgroup *found = 0;

	if (bpf_core_read(&found, sizeof(found), &cgroup->ancestors[level]) < 0)
		return 0;
	return found;
}

static __always_inline __u64 uid_of_slice(struct cgroup *cgroup, struct cgroup *slice)
{
	struct cgroup *slices_of_users = ancestor(cgroup, SLICES_LEVEL);

	if (!slices_of_users || !is_slices(BPF_CORE_READ(slices_of_users, kn, name)))
		return 0;
	return uid_of_name(BPF_CORE_READ(slice, kn, name));
}

/* The uid in whose slice the cgroup is; 0: in none. Names are read once a cgroup. */
static __noinline __u64 uid_of_cgroup(struct cgroup *cgroup)
{
	struct cgroup *slice;
	__u64 id, uid, *known;

	if (!cgroup || BPF_CORE_READ(cgroup, level) < SLICE_LEVEL)
		return 0;
	slice = ancestor(cgroup, SLICE_LEVEL);
	if (!slice)
		return 0;
	id = BPF_CORE_READ(slice, kn, id);
	known = bpf_map_lookup_elem(&slices, &id);
	if (known)
		return *known;
	uid = uid_of_slice(cgroup, slice);
	(void)bpf_map_update_elem(&slices, &id, &uid, BPF_ANY);
	return uid;
}

static __always_inline __u64 uid_of_task(struct task_struct *task)
{
	return uid_of_cgroup(BPF_CORE_READ(task, cgroups, dfl_cgrp));
}

/* ---- counting ---- */

/*
 * Before Linux 6.4 these two return an int to a program that takes all 64 bits of the register for the result: a failure
 * looks like a large positive number.
 */
static __always_inline int map_insert(void *map, const void *key, const void *value)
{
	return (int)bpf_map_update_elem(map, key, value, BPF_NOEXIST);
}

static __always_inline int map_delete(void *map, const void *key)
{
	return (int)bpf_map_delete_elem(map, key);
}

static __always_inline void add_places(__s64 n)
{
	__u32 zero = 0;
	__u64 *taken = bpf_map_lookup_elem(&places, &zero);

	if (taken)
		__sync_fetch_and_add(taken, (__u64)n);
}

static __always_inline int places_left(void)
{
	__u32 zero = 0;
	__u64 *taken = bpf_map_lookup_elem(&places, &zero);

	return taken && *taken < PROCESSES_MAX - PROCESSES_RESERVE;
}

static __always_inline void discount(__u64 uid)
{
	struct process_count *count = bpf_map_lookup_elem(&counts, &uid);

	if (count)
		__sync_fetch_and_add(&count->count, (__u64)-1);
	add_places(-1);
}

/* Returns whether the process is entered now. `counted`: its reservation goes over to the entry. */
static __always_inline int enter(__u64 signal, __u64 uid, int counted)
{
	const struct process_key key = { .signal = signal, .uid = uid };
	const struct process_state state = { .unchecked = !counted };
	struct process_count *count;
	int r;

	count = bpf_map_lookup_elem(&counts, &uid);
	if (!count)
		return 0;
	if (!counted) {
		__sync_fetch_and_add(&count->count, 1);
		add_places(1);
	}
	r = map_insert(&alive, &key, &state);
	if (r < 0)
		discount(uid); /* entered by somebody else already, or no room */
	return r == 0;
}

static __always_inline int leave(__u64 signal, __u64 uid)
{
	const struct process_key key = { .signal = signal, .uid = uid };

	if (map_delete(&alive, &key) < 0)
		return 0;
	discount(uid);
	return 1;
}

static __always_inline int has_ended(struct task_struct *task)
{
	return BPF_CORE_READ(task, signal, live.counter) <= 0;
}

/* For a process that may be ending while it is entered: either its last thread sees the entry, or this sees the end. */
static __always_inline void enter_running(struct task_struct *task, __u64 uid)
{
	const struct process_key key = { .signal = (__u64)BPF_CORE_READ(task, signal), .uid = uid };

	if (bpf_map_lookup_elem(&alive, &key))
		return;
	if (!has_ended(task) && enter(key.signal, uid, 0) && has_ended(task))
		(void)leave(key.signal, uid);
}

static __always_inline int is_agent(__u64 uid)
{
	return uid && bpf_map_lookup_elem(&limits, &uid);
}

/* ---- births ---- */

SEC("lsm/task_alloc")
int BPF_PROG(task_alloc, struct task_struct *task, unsigned long clone_flags, int ret)
{
	__u64 uid, child = (__u64)task, *limit, before;
	struct process_count *count;

	if (ret || (clone_flags & CLONE_THREAD))
		return earlier(ret);
	uid = uid_of_task(bpf_get_current_task_btf());
	if (!uid)
		return 0;
	limit = bpf_map_lookup_elem(&limits, &uid);
	count = bpf_map_lookup_elem(&counts, &uid);
	if (!limit || !count)
		return 0;

	before = __sync_fetch_and_add(&count->count, 1);
	add_places(1);
	if (before < *limit && places_left() && map_insert(&forks, &child, &uid) == 0)
		return 0;
	discount(uid);
	__sync_fetch_and_add(&count->refused, 1);
	return -EAGAIN;
}

/* Whose place it was; 0: none was reserved. */
static __always_inline __u64 take_reservation(struct task_struct *task)
{
	__u64 child = (__u64)task, uid, *reserved = bpf_map_lookup_elem(&forks, &child);

	if (!reserved)
		return 0;
	uid = *reserved;
	return map_delete(&forks, &child) == 0 ? uid : 0;
}

SEC("tp_btf/task_newtask")
int BPF_PROG(task_newtask, struct task_struct *task, unsigned long clone_flags)
{
	__u64 reserved, uid;

	if (clone_flags & CLONE_THREAD)
		return 0;
	reserved = take_reservation(task);
	uid = uid_of_task(task);
	if (reserved && reserved == uid) {
		(void)enter((__u64)BPF_CORE_READ(task, signal), uid, 1);
		return 0;
	}
	if (reserved)
		discount(reserved); /* born elsewhere */
	if (is_agent(uid))
		(void)enter((__u64)BPF_CORE_READ(task, signal), uid, 0);
	return 0;
}

/* At the end of each task's memory; only a fork that failed has a reservation still. */
SEC("lsm/task_free")
int BPF_PROG(task_free, struct task_struct *task)
{
	__u64 reserved = take_reservation(task);

	if (reserved)
		discount(reserved);
	return 0;
}

/* ---- ends ---- */

SEC("tp_btf/sched_process_exit")
int BPF_PROG(sched_process_exit, struct task_struct *task)
{
	__u64 uid;

	if (!has_ended(task))
		return 0;
	uid = uid_of_task(task);
	if (uid)
		(void)leave((__u64)BPF_CORE_READ(task, signal), uid);
	return 0;
}

/* ---- moves ---- */

/*
 * The tracepoint says where to, not where from. Of the slices where it may be entered all are tried: a keyed deletion that
 * finds nothing costs little, and moves are rare.
 */
struct move {
	__u64 signal, to;
};

static long leave_slice(void *map, const __u64 *uid, void *value, struct move *move)
{
	if (*uid != move->to)
		(void)leave(move->signal, *uid);
	return 0;
}

SEC("tp_btf/cgroup_attach_task")
int BPF_PROG(cgroup_attach_task, struct cgroup *destination, const char *path, struct task_struct *task, _Bool group)
{
	struct move move = { .signal = (__u64)BPF_CORE_READ(task, signal), .to = uid_of_cgroup(destination) };

	(void)bpf_for_each_map_elem(&counts, leave_slice, &move, 0);
	if (is_agent(move.to))
		enter_running(task, move.to);
	return 0;
}

/* ---- executions ---- */

SEC("lsm/bprm_creds_for_exec")
int BPF_PROG(bprm_creds_for_exec, struct linux_binprm *bprm, int ret)
{
	const struct process_state checked = { .unchecked = 0 };
	struct task_struct *task;
	struct process_key key;
	struct process_state *state;
	struct process_count *count;
	__u64 *limit;

	if (ret)
		return earlier(ret);
	task = bpf_get_current_task_btf();
	key.uid = uid_of_task(task);
	if (!key.uid)
		return 0;
	limit = bpf_map_lookup_elem(&limits, &key.uid);
	count = bpf_map_lookup_elem(&counts, &key.uid);
	if (!limit || !count)
		return 0;
	key.signal = (__u64)BPF_CORE_READ(task, signal);
	state = bpf_map_lookup_elem(&alive, &key);
	if (!state) {
		/* missed somehow; now or never */
		enter_running(task, key.uid);
		state = bpf_map_lookup_elem(&alive, &key);
	}
	if (state && !state->unchecked)
		return 0;
	/* the holder of the leaves and what the service manager does for the user are root's */
	if ((__u32)bpf_get_current_uid_gid() == 0)
		return 0;
	if (!state || count->count > *limit) {
		__sync_fetch_and_add(&count->refused, 1);
		return -EAGAIN;
	}
	(void)bpf_map_update_elem(&alive, &key, &checked, BPF_EXIST);
	return 0;
}

/* ---- what creel-enforce asks for ---- */

/* Reading it enters every process that is there already. */
SEC("iter/task")
int seed(struct bpf_iter__task *context)
{
	struct task_struct *task = context->task;
	__u64 uid;

	if (!task)
		return 0;
	uid = uid_of_task(task);
	if (is_agent(uid))
		enter_running(task, uid);
	return 0;
}

/* Lines "UID COUNT LIMIT REFUSED", for those who may read the pinned file. */
SEC("iter/bpf_map_elem")
int usage(struct bpf_iter__bpf_map_elem *context)
{
	static const char format[] = "%llu %llu %llu %llu\n";
	struct process_count *count = context->value;
	__u64 *key = context->key, *limit, data[4];

	if (!key || !count)
		return 0;
	data[0] = *key;
	limit = bpf_map_lookup_elem(&limits, &data[0]);
	if (!limit)
		return 0;
	data[1] = count->count;
	data[2] = *limit;
	data[3] = count->refused;
	(void)bpf_seq_printf(context->meta->seq, format, sizeof(format), data, sizeof(data));
	return 0;
}

char _license[] SEC("license") = "Dual MIT/GPL";

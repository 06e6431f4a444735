/* SPDX-License-Identifier: MIT */
/* What the kernel can enforce. Where it can be tried without an effect it is tried, else the kernel's own lists are read. */
#include "shell/operator/doctor.h"

#include <linux/landlock.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/syscall.h>

#define LANDLOCK_ABI_WANTED 2 /* since 5.19: renames between folders; newer ones close more */
#define BTF_MAX (64U << 20)

/* 6.1 is what all is built and tested with; before 5.14 there is no cgroup.kill, and nothing of creel can work. */
static void check_version(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	char release[128];
	unsigned int major, minor;
	int r = look_get(doctor, "/proc/sys/kernel/osrelease", release, sizeof(release));

	if (r < 0)
		return finding_error(ret, r, "/proc/sys/kernel/osrelease");
	if (sscanf(release, "%u.%u", &major, &minor) != 2)
		return finding_set(ret, DOCTOR_DEGRADED, "%.100s is no version", release);
	if (major < 5 || (major == 5 && minor < 14))
		return finding_set(ret, DOCTOR_MISSING, "%.100s; 5.14 or later is needed", release);
	if (major < 6 || (major == 6 && minor < 1))
		return finding_set(ret, DOCTOR_DEGRADED, "%.100s; made for 6.1 or later", release);
	finding_set(ret, DOCTOR_OK, "%.100s", release);
}

static void check_cgroup2(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct stat st;
	int r = look_stat(doctor, "/sys/fs/cgroup/cgroup.controllers", &st);

	if (r < 0)
		return finding_set(ret, DOCTOR_MISSING, "/sys/fs/cgroup is not the unified hierarchy");
	finding_set(ret, DOCTOR_OK, "unified hierarchy");
}

/* Offered by the kernel, and handed down to where the agents are. */
static void check_controllers(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const files[] = { "/sys/fs/cgroup/cgroup.controllers",
		"/sys/fs/cgroup/user.slice/cgroup.subtree_control" };
	static const char *const names[] = { "cpu", "memory", "pids", "io" };

	for (size_t i = 0; i < ELEMENTSOF(files); i++) {
		char text[256];
		int r = look_get(doctor, files[i], text, sizeof(text));

		if (r < 0)
			return finding_error(ret, r, files[i]);
		for (size_t k = 0; k < ELEMENTSOF(names); k++)
			if (!look_word(text, names[k]))
				return finding_set(ret, DOCTOR_MISSING, "%s: no controller `%s`", files[i], names[k]);
	}
	finding_set(ret, DOCTOR_OK, "cpu, memory, pids, io reach user.slice");
}

static void check_file(Doctor *doctor, Finding *ret, const char *path, DoctorState without)
{
	struct stat st;
	int r = look_stat(doctor, path, &st);

	if (r == -ENOENT)
		return finding_set(ret, without, "%s is not there", path);
	if (r < 0)
		return finding_error(ret, r, path);
	finding_set(ret, DOCTOR_OK, "there");
}

static void check_memory_peak(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_file(doctor, ret, "/sys/fs/cgroup/creel.slice/memory.peak", DOCTOR_DEGRADED);
}

static void check_cgroup_kill(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_file(doctor, ret, "/sys/fs/cgroup/creel.slice/cgroup.kill", DOCTOR_MISSING);
}

/* A descriptor that is none: the kernel that knows the flag says so before anything is born, another one knows no flag. */
static void check_clone_into(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct clone_args arguments = { .flags = CLONE_INTO_CGROUP, .exit_signal = 17, .cgroup = INT32_MAX };

	if (syscall(SYS_clone3, &arguments, sizeof(arguments)) == 0)
		_exit(0);
	if (errno != EBADF)
		return finding_set(ret, DOCTOR_MISSING, "clone3 with CLONE_INTO_CGROUP: %s", strerror(errno));
	finding_set(ret, DOCTOR_OK, "processes are born in their cgroup");
}

static void check_landlock(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_CREATE_RULESET_VERSION);

	if (abi < 0)
		return finding_set(ret, DOCTOR_MISSING, "%s",
			errno == EOPNOTSUPP ? "switched off at boot" : "this kernel is built without it");
	finding_set(ret, abi < LANDLOCK_ABI_WANTED ? DOCTOR_DEGRADED : DOCTOR_OK, "ABI %ld", abi);
}

static void check_seccomp(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const wanted[] = { "kill_process", "errno", "allow" };
	char actions[256];
	int r = look_get(doctor, "/proc/sys/kernel/seccomp/actions_avail", actions, sizeof(actions));

	if (r < 0)
		return finding_error(ret, r, "/proc/sys/kernel/seccomp/actions_avail");
	for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
		if (!look_word(actions, wanted[i]))
			return finding_set(ret, DOCTOR_MISSING, "no action `%s`", wanted[i]);
	finding_set(ret, DOCTOR_OK, "%s", actions);
}

static void check_lsm(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const wanted[] = { "landlock", "yama", "bpf" };
	char list[256];
	int r = look_get(doctor, "/sys/kernel/security/lsm", list, sizeof(list));

	if (r < 0)
		return finding_error(ret, r, "/sys/kernel/security/lsm");
	for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
		if (!look_word(list, wanted[i])) {
			finding_remedy(ret, "boot with lsm=%s,%s (or without lsm=, where the distribution has it)",
				list, wanted[i]);
			return finding_set(
				ret, DOCTOR_MISSING, "`%s` is not among the active ones: %s", wanted[i], list);
		}
	finding_set(ret, DOCTOR_OK, "%s", list);
}

/* The kernel's own description of its types has each program type and each hook by name: those of the *.bpf.c of shell/enforce. */
static void check_btf(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const wanted[] = { "BPF_CGROUP_INET_SOCK_CREATE", "BPF_CGROUP_INET4_BIND",
		"BPF_CGROUP_INET6_BIND", "BPF_CGROUP_INET4_POST_BIND", "BPF_CGROUP_INET6_POST_BIND",
		"bpf_lsm_bprm_creds_for_exec", "bpf_lsm_file_lock", "bpf_lsm_inode_mkdir", "bpf_lsm_inode_permission",
		"bpf_lsm_sk_free_security", "bpf_lsm_socket_create", "bpf_lsm_socket_listen", "bpf_lsm_task_alloc",
		"bpf_lsm_task_free", "bpf_lsm_unix_may_send", "bpf_lsm_unix_stream_connect" };
	_cleanup_free_ char *path = str_format("%s/sys/kernel/btf/vmlinux", doctor->root), *data = NULL;
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	size_t n = 0;

	if (!file)
		return finding_error(ret, path ? -errno : -ENOMEM, "/sys/kernel/btf/vmlinux");
	data = malloc(BTF_MAX);
	if (data)
		n = fread(data, 1, BTF_MAX, file);
	for (size_t i = 0; i < ELEMENTSOF(wanted); i++)
		if (!data || !memmem(data, n, wanted[i], strlen(wanted[i]) + 1))
			return finding_set(ret, DOCTOR_MISSING, "this kernel has no %s", wanted[i]);
	finding_set(ret, DOCTOR_OK, "%zu hooks and kinds of programs that creel-enforce needs", ELEMENTSOF(wanted));
}

static void check_bpf_mount(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct stat st;
	int r = look_stat(doctor, "/sys/fs/bpf", &st);

	if (r < 0)
		return finding_error(ret, r, "/sys/fs/bpf");
	if (st.st_uid != 0 || (st.st_mode & 077) != 0)
		return finding_set(ret, DOCTOR_DEGRADED, "/sys/fs/bpf: mode %04o, owner %u: others can look in",
			st.st_mode & 07777, st.st_uid);
	finding_set(ret, DOCTOR_OK, "root's alone");
}

/* A sysctl that should be at least so high. */
static void check_sysctl(Doctor *doctor, Finding *ret, const char *path, uint64_t low, const char *meaning)
{
	uint64_t value;
	int r = look_number(doctor, path, &value);

	if (r < 0)
		return finding_error(ret, r, path);
	if (value < low)
		return finding_set(ret, DOCTOR_DEGRADED, "%s is %llu: %s", path, (unsigned long long)value, meaning);
	finding_set(ret, DOCTOR_OK, "%llu", (unsigned long long)value);
}

static void check_ptrace(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_sysctl(doctor, ret, "/proc/sys/kernel/yama/ptrace_scope", 1,
		"one process of an agent's can read another one's memory");
}

static void check_bpf_unprivileged(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_sysctl(doctor, ret, "/proc/sys/kernel/unprivileged_bpf_disabled", 1, "agents can load BPF programs");
}

static void check_dmesg(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_sysctl(doctor, ret, "/proc/sys/kernel/dmesg_restrict", 1, "agents can read the kernel's log");
}

/* Debian's own switch; other kernels have a count. */
static void check_user_namespaces(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	uint64_t allowed, max;
	int r = look_number(doctor, "/proc/sys/kernel/unprivileged_userns_clone", &allowed);

	if (r == 0 && !allowed)
		return finding_set(ret, DOCTOR_OK, "root's alone");
	r = look_number(doctor, "/proc/sys/user/max_user_namespaces", &max);
	if (r < 0)
		return finding_error(ret, r, "/proc/sys/user/max_user_namespaces");
	if (!max)
		return finding_set(ret, DOCTOR_OK, "none can be made");
	finding_set(ret, DOCTOR_DEGRADED, "unprivileged users can make them: a kernel's most frequent way to root");
}

static void check_quota(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	check_file(doctor, ret, "/proc/sys/fs/quota/lookups", DOCTOR_MISSING);
}

static void check_ipv6(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_free_ char *data = NULL;
	int r = look_read(doctor, "/proc/net/if_inet6", 1U << 20, &data);

	if (r < 0 && r != -ENOENT)
		return finding_error(ret, r, "/proc/net/if_inet6");
	if (r < 0 || !*data)
		return finding_set(ret, DOCTOR_DEGRADED, "switched off: clients and agents have IPv4 alone");
	finding_set(ret, DOCTOR_OK, "on");
}

#define SYSCTL_FILE "a file in /etc/sysctl.d, then `sysctl --system`"

const DoctorCheck doctor_kernel[] = {
	{ "kernel.version", "the kernel is new enough", "install the distribution's kernel, and boot it", 0,
		check_version },
	{ "kernel.cgroup2", "one hierarchy of cgroups", "boot without systemd.unified_cgroup_hierarchy=0", 0,
		check_cgroup2 },
	{ "kernel.controllers", "limits can be set where agents are",
		"boot without cgroup_disable=; `systemctl daemon-reload` hands them down", 0, check_controllers },
	{ "kernel.memory_peak", "the record can tell a command's memory", "boot a kernel of 5.19 or later", 0,
		check_memory_peak },
	{ "kernel.cgroup_kill", "a tree of processes ends at once", "boot a kernel of 5.14 or later", 0,
		check_cgroup_kill },
	{ "kernel.clone_into", "processes are born in their cgroup", "boot a kernel of 5.7 or later", NEEDS_LIVE,
		check_clone_into },
	{ "kernel.landlock", "files can be confined", "boot a kernel with it, and with landlock in lsm=", NEEDS_LIVE,
		check_landlock },
	{ "kernel.seccomp", "system calls can be confined", "boot a kernel with CONFIG_SECCOMP_FILTER", 0,
		check_seccomp },
	{ "kernel.lsm", "the security modules that creel uses are active", NULL, 0, check_lsm },
	{ "kernel.bpf", "ports and processes can be judged by programs",
		"boot the distribution's kernel (6.1: CONFIG_BPF_LSM, CONFIG_CGROUP_BPF, CONFIG_DEBUG_INFO_BTF)", 0,
		check_btf },
	{ "kernel.bpf_mount", "pinned programs are out of the agents' reach", "mount -o remount,mode=0700 /sys/fs/bpf",
		0, check_bpf_mount },
	{ "kernel.bpf_unprivileged", "agents can load no programs",
		"kernel.unprivileged_bpf_disabled = 2 in " SYSCTL_FILE, 0, check_bpf_unprivileged },
	{ "kernel.ptrace", "processes look into their children only", "kernel.yama.ptrace_scope = 1 in " SYSCTL_FILE, 0,
		check_ptrace },
	{ "kernel.dmesg", "the kernel's log is root's", "kernel.dmesg_restrict = 1 in " SYSCTL_FILE, 0, check_dmesg },
	{ "kernel.user_namespaces", "agents can make no user namespaces",
		"kernel.unprivileged_userns_clone = 0 in " SYSCTL_FILE, 0, check_user_namespaces },
	{ "kernel.quota", "disk use can be limited", "boot a kernel with CONFIG_QUOTA", 0, check_quota },
	{ "kernel.ipv6", "both versions of IP", "boot without ipv6.disable=1; net.ipv6.conf.all.disable_ipv6 = 0", 0,
		check_ipv6 },
	{ NULL },
};

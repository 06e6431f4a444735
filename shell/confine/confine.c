/* SPDX-License-Identifier: MIT */
#include "shell/confine/confine.h"
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <grp.h>
#include <linux/keyctl.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

/*
 * Above what the system's services have, so that the kernel's choice under memory shortage is an agent's process;
 * written while CAP_SYS_RESOURCE is held, which makes it the least that the agent can ever set (proc(5)).
 */
#define AGENT_OOM_SCORE_ADJUST 300

static struct rlimit both(uint64_t value)
{
	rlim_t limit = value == POLICY_UNLIMITED ? RLIM_INFINITY : (rlim_t)value;

	return (struct rlimit){ .rlim_cur = limit, .rlim_max = limit };
}

int confinement_prepare(
	const Policy *policy, uid_t uid, gid_t gid, const gid_t *groups, size_t n_groups, Confinement *ret)
{
	char text[16];
	uint64_t last;
	int r;

	r = file_get_at(AT_FDCWD, "/proc/sys/kernel/cap_last_cap", text, sizeof(text));
	if (r < 0)
		return r;
	r = str_to_u64(text, 63, &last);
	if (r < 0)
		return r;
	*ret = (Confinement){
		.uid = uid,
		.gid = gid,
		.groups = groups,
		.n_groups = n_groups,
		.oom_score_adjust = AGENT_OOM_SCORE_ADJUST,
		.open_files = both(policy->open_files),
		.file_size = both(policy->file_size),
		.last_capability = (int)last,
	};
	return 0;
}

/* snprintf() may lock and allocate: digits by hand. */
static int write_number(const char *path, int number)
{
	char text[12], *p = text + sizeof(text);
	unsigned int rest = (unsigned int)number;
	int fd, r = 0;

	do
		*--p = (char)('0' + rest % 10);
	while (rest /= 10);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, p, (size_t)(text + sizeof(text) - p)) < 0)
		r = -errno;
	(void)close(fd);
	return r;
}

static int apply_limits(const Confinement *confinement)
{
	/* a core file would land wherever the agent stands, as large as its memory */
	static const struct rlimit no_core = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &no_core) < 0 || setrlimit(RLIMIT_NOFILE, &confinement->open_files) < 0 ||
		setrlimit(RLIMIT_FSIZE, &confinement->file_size) < 0)
		return -errno;
	return write_number("/proc/self/oom_score_adj", confinement->oom_score_adjust);
}

static int drop_bounding_set(const Confinement *confinement)
{
	for (int cap = 0; cap <= confinement->last_capability; cap++)
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

/*
 * Raw system calls: glibc's wrappers first walk a list of threads under a lock. This process has one thread.
 */
static int take_identity(const Confinement *confinement)
{
	if (syscall(SYS_setgroups, confinement->n_groups, confinement->groups) < 0 ||
		syscall(SYS_setresgid, confinement->gid, confinement->gid, confinement->gid) < 0 ||
		syscall(SYS_setresuid, confinement->uid, confinement->uid, confinement->uid) < 0)
		return -errno;

	/* proof, not hope: root must be out of reach now */
	if (syscall(SYS_setresuid, -1, 0, -1) == 0 || getuid() != confinement->uid || geteuid() != confinement->uid)
		return -EPERM;
	return 0;
}

/* The keeper's session keyring is root's: an agent gets a new, empty one. Kernels without keyrings have none to share. */
static int leave_keyring(void)
{
	if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS)
		return -errno;
	return 0;
}

int confinement_apply(const Confinement *confinement, const char **ret_step)
{
	int r;

	*ret_step = "set limits";
	r = apply_limits(confinement);
	if (r < 0)
		return r;

	*ret_step = "drop capabilities";
	r = drop_bounding_set(confinement);
	if (r < 0)
		return r;

	*ret_step = "take the agent's identity";
	r = take_identity(confinement);
	if (r < 0)
		return r;

	*ret_step = "leave the keyring";
	r = leave_keyring();
	if (r < 0)
		return r;

	*ret_step = "set no_new_privs";
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

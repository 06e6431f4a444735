/* SPDX-License-Identifier: MIT */
/*
 * Disk: user quotas, because they follow the owner of a file, whom an agent cannot change; it could change a file's project.
 * creel-quota.service switches them on (units/quota-on); here are the limits, through quotactl(2), set anew at each boot
 * since a quota file that was made anew has none.
 *
 * An agent must not have room anywhere else: a file system that it can reach and that counts nothing is a failure, and named.
 * The limit holds on each file system by itself; where /home or /tmp is one of its own, an agent has it on each.
 */
#include "shell/enforce/quota.h"
#include "shell/base/file.h"
#include "shell/base/quantity.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <string.h>
#include <sys/quota.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define STATE_DIR "/var/lib/creel/disk" /* a file for each uid that has limits of ours */
#define BYTES_AN_INODE 8192U
#define INODES_MIN 4096U

QuotaLimits quota_plan(uint64_t limit, const DiskState *state)
{
	uint64_t margin = state->total / 20;
	uint64_t there = state->used + (state->available > margin ? state->available - margin : 0);
	QuotaLimits plan;

	if (limit == POLICY_UNLIMITED)
		return (QuotaLimits){ 0, 0 };
	if (limit == 0)
		return (QuotaLimits){ 1024, 1 };
	plan.bytes = quantity_smaller(limit, there > 1024 ? there : 1024);
	plan.inodes = limit / BYTES_AN_INODE;
	if (plan.inodes < INODES_MIN)
		plan.inodes = INODES_MIN;
	if (state->inodes && plan.inodes > state->inodes / 2)
		plan.inodes = state->inodes / 2;
	return plan;
}

static const char *device_path(const Mount *mount, char ret[static 40])
{
	(void)snprintf(ret, 40, "/dev/block/%s", mount->device);
	return ret;
}

/* It counts, and refuses what is beyond. */
static bool quota_is_on(const Mount *mount)
{
	struct fs_quota_statv state = { .qs_version = FS_QSTATV_VERSION1 };
	char path[40];

	return quotactl(QCMD(Q_XGETQSTATV, USRQUOTA), device_path(mount, path), 0, (caddr_t)&state) == 0 &&
	       (state.qs_flags & FS_QUOTA_UDQ_ACCT) && (state.qs_flags & FS_QUOTA_UDQ_ENFD);
}

static const char *mount_name(const Mount *mount)
{
	return mount->points.items[0];
}

/* A folder that nobody but root may enter keeps agents out of all that is below. */
static bool is_closed(const char *path)
{
	struct stat st;

	return stat(path, &st) == 0 && !(st.st_mode & S_IXOTH) && st.st_uid == 0 && st.st_gid == 0;
}

static bool is_reachable_by(const char *point)
{
	_cleanup_free_ char *path = strdup(point);

	if (!path || is_closed("/") || is_closed(path))
		return !path;
	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (is_closed(path))
			return false;
		*slash = '/';
	}
	return true;
}

/* Files there have one owner and one mode, those of the mount: its folder's. */
static bool is_without_owners(const Mount *mount)
{
	return strcmp(mount->type, "vfat") == 0 || strcmp(mount->type, "exfat") == 0 ||
	       strcmp(mount->type, "msdos") == 0;
}

static bool is_roots_alone(const char *point)
{
	struct stat st;

	return stat(point, &st) == 0 && st.st_uid == 0 && st.st_gid == 0 && !(st.st_mode & S_IWOTH);
}

/* By any of its mounts. */
static bool is_reachable(const Mount *mount)
{
	for (size_t i = 0; i < mount->points.n; i++)
		if (is_reachable_by(mount->points.items[i]) &&
			!(is_without_owners(mount) && is_roots_alone(mount->points.items[i])))
			return true;
	return false;
}

static int disk_state(const Mount *mount, uid_t uid, DiskState *ret)
{
	struct dqblk now = { 0 };
	struct statvfs fs;
	char path[40];

	if (statvfs(mount_name(mount), &fs) < 0)
		return -errno;
	if (quotactl(QCMD(Q_GETQUOTA, USRQUOTA), device_path(mount, path), (int)uid, (caddr_t)&now) < 0 &&
		errno != ENOENT)
		return -errno; /* ENOENT of XFS: it owns nothing */
	ret->total = (uint64_t)fs.f_blocks * fs.f_frsize;
	ret->available = (uint64_t)fs.f_bavail * fs.f_frsize;
	ret->inodes = strcmp(mount->type, "xfs") == 0 ? 0 : fs.f_files;
	ret->used = now.dqb_curspace;
	return 0;
}

static int set_limits(const Mount *mount, uid_t uid, const QuotaLimits *limits)
{
	struct dqblk wanted = {
		.dqb_bhardlimit = limits->bytes / 1024, /* in blocks of 1 KiB, on every file system */
		.dqb_ihardlimit = limits->inodes,
		.dqb_valid = QIF_LIMITS,
	};
	char path[40];

	return quotactl(QCMD(Q_SETQUOTA, USRQUOTA), device_path(mount, path), (int)uid, (caddr_t)&wanted) < 0 ? -errno
													      : 0;
}

/* The file says that the limits are creel's: another user's are the operator's, and stay. */
static int remember(uid_t uid)
{
	_cleanup_close_ int fd = -EBADF;
	char path[64];

	if ((mkdir("/var/lib/creel", 0755) < 0 && errno != EEXIST) || (mkdir(STATE_DIR, 0755) < 0 && errno != EEXIST))
		return -errno;
	(void)snprintf(path, sizeof(path), STATE_DIR "/%u", uid);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0644);
	return fd < 0 ? -errno : 0;
}

static int apply_one(const Mount *mount, EnforceAgent *agent)
{
	uint64_t limit = agent->policy ? agent->policy->disk : 0;
	QuotaLimits limits;
	DiskState state;
	int r;

	r = disk_state(mount, agent->uid, &state);
	if (r < 0)
		return r;
	limits = quota_plan(limit, &state);
	r = remember(agent->uid);
	return r < 0 ? r : set_limits(mount, agent->uid, &limits);
}

static void apply_mount(const Mount *mount, EnforceAgents *agents)
{
	for (size_t i = 0; i < agents->n; i++) {
		EnforceAgent *agent = &agents->items[i];
		int r;

		/* whatever failed on another file system: an agent may be meant to do without that one */
		r = apply_one(mount, agent);
		if (r < 0 && !*agent->failed.text)
			(void)enforce_reason(&agent->failed, r, "%s: quota of uid %u: %s", mount_name(mount),
				agent->uid, strerror(-r));
	}
}

static void fail_all(const Mount *mount, EnforceAgents *agents)
{
	for (size_t i = 0; i < agents->n; i++)
		if (!*agents->items[i].failed.text)
			(void)enforce_reason(&agents->items[i].failed, 0, "%s (%s): there is no user quota%s",
				mount_name(mount), mount->type,
				strcmp(mount->type, "ext4") == 0  ? "; see creel-quota.service"
				: strcmp(mount->type, "xfs") == 0 ? ": mount it with `uquota`"
								  : "");
}

typedef struct Mounts {
	Mount *items;
	size_t n;
} Mounts;

/* Its limits, which its uid's next user must not find. */
static int forget(uid_t uid, const void *userdata, EnforceReason *ret_reason)
{
	static const QuotaLimits none = { 0, 0 };
	const Mounts *mounts = userdata;

	for (size_t i = 0; i < mounts->n; i++) {
		const Mount *mount = &mounts->items[i];
		int r = quota_is_on(mount) ? set_limits(mount, uid, &none) : 0;

		if (r < 0)
			return enforce_reason(ret_reason, r, "%s: %s", mount_name(mount), strerror(-r));
	}
	return 0;
}

int quota_apply(EnforceAgents *agents, EnforceReason *ret_reason)
{
	_cleanup_free_ char *text = NULL;
	Mounts mounts = { 0 };
	int r;

	r = file_read_at(AT_FDCWD, "/proc/self/mountinfo", 0, 4 * 1024 * 1024, &text, NULL);
	if (r == 0)
		r = mounts_parse(text, &mounts.items, &mounts.n);
	if (r < 0)
		return enforce_reason(ret_reason, r, "/proc/self/mountinfo: %s", strerror(-r));
	for (size_t i = 0; i < mounts.n; i++)
		if (quota_is_on(&mounts.items[i]))
			apply_mount(&mounts.items[i], agents);
		else if (is_reachable(&mounts.items[i]))
			fail_all(&mounts.items[i], agents);
	r = enforce_forget_others(STATE_DIR, agents, forget, &mounts, ret_reason);
	mounts_free(mounts.items, mounts.n);
	return r;
}

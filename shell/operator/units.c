/* SPDX-License-Identifier: MIT */
/*
 * Starting and ending through systemctl and loginctl: they wait for the jobs and say why one failed.
 *
 * Ending does not trust any of them to be complete: cron, an OpenSSH session without a scope or a `su` can
 * leave processes outside the slice, so in the end /proc decides. Each is killed by a pidfd that is checked
 * again after opening: the process that is signalled is the one that was looked at.
 */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

#define SYSTEMCTL "/usr/bin/systemctl"
#define LOGINCTL "/usr/bin/loginctl"

typedef struct UnitName {
	char text[48];
} UnitName;

static const char *unit_name(UnitName *buffer, const char *prefix, uid_t uid, const char *suffix)
{
	(void)snprintf(buffer->text, sizeof(buffer->text), "%s%u%s", prefix, uid, suffix);
	return buffer->text;
}

/* Lingering starts the user manager in its own time; here it is waited for, so that the first login finds it.
 */
int units_start(uid_t uid, Reason *ret_reason)
{
	UnitName socket, keeper, leaves, rescue, manager;
	const char *const argv[] = {
		SYSTEMCTL,
		"start",
		unit_name(&manager, "user@", uid, ".service"),
		unit_name(&leaves, "creel-leaves@", uid, ".service"),
		unit_name(&rescue, "creel-rescue@", uid, ".service"),
		unit_name(&socket, "creel-keeper@", uid, ".socket"),
		unit_name(&keeper, "creel-keeper@", uid, ".service"),
		NULL,
	};

	return command_run(argv, ret_reason);
}

/* Any of the real, effective, saved and file system uids: a setuid program of the agent's is the agent's as
 * well. */
static bool process_is_of(int process_fd, uid_t uid)
{
	char status[4096], *line;
	unsigned ids[4];

	if (file_get_at(process_fd, "status", status, sizeof(status)) < 0)
		return false;
	line = strstr(status, "\nUid:");
	if (!line || sscanf(line + 5, "%u %u %u %u", &ids[0], &ids[1], &ids[2], &ids[3]) != 4)
		return false;
	for (size_t i = 0; i < ELEMENTSOF(ids); i++)
		if (ids[i] == uid)
			return true;
	return false;
}

/* Zombies are dead: their parent has to notice, and init will when the parent is gone. */
static bool process_is_dead(int process_fd)
{
	char stat[512], *end;

	if (file_get_at(process_fd, "stat", stat, sizeof(stat)) < 0)
		return true;
	end = strrchr(stat, ')');
	return end && end[1] == ' ' && (end[2] == 'Z' || end[2] == 'X');
}

/* Kills what it finds; returns how many it found, or a negative errno. */
static int kill_all_of(uid_t uid)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	const struct dirent *entry;
	int found = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		_cleanup_close_ int process_fd = -EBADF, pid_fd = -EBADF;
		uint64_t pid;

		if (str_to_u64(entry->d_name, INT32_MAX, &pid) < 0)
			continue;
		process_fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (process_fd < 0 || !process_is_of(process_fd, uid) || process_is_dead(process_fd))
			continue;
		found++;
		pid_fd = pidfd_open((pid_t)pid, 0);
		/* the folder in /proc belongs to the process that was looked at: if it still answers, so does
		 * the pidfd */
		if (pid_fd >= 0 && process_is_of(process_fd, uid))
			(void)pidfd_send_signal(pid_fd, SIGKILL, NULL, 0);
	}
	return found;
}

/* The agent's part of a folder of cgroups, by name; both may be missing when the agent is half gone. */
static DIR *open_cgroup(uid_t uid, const char *below)
{
	char path[128];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice%s", uid, below);
	return opendir(path);
}

/*
 * At once and whole, also what forks faster than it could be killed one by one. Not the unit that takes the
 * runtime folder away: its helpers run in the slice as well, and killed they would leave the mount.
 */
static void kill_slice(uid_t uid)
{
	_cleanup_closedir_ DIR *dir = open_cgroup(uid, "");
	const struct dirent *entry;
	char file[300];

	while (dir && (entry = readdir(dir))) {
		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
			strncmp(entry->d_name, "user-runtime-dir@", strlen("user-runtime-dir@")) == 0)
			continue;
		(void)snprintf(file, sizeof(file), "%s/cgroup.kill", entry->d_name);
		(void)!file_put_at(dirfd(dir), file, "1");
	}
}

/* What was frozen: the helpers that end its units run in there, and would stand still. */
static void thaw_slice(uid_t uid)
{
	_cleanup_closedir_ DIR *dir = open_cgroup(uid, "");

	if (dir)
		(void)!file_put_at(dirfd(dir), "cgroup.freeze", "0");
}

static bool has_sessions(uid_t uid)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	char below[64];

	(void)snprintf(below, sizeof(below), "/creel-leaves@%u.service", uid);
	dir = open_cgroup(uid, below);
	while (dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "session-", strlen("session-")) == 0)
			return true;
	return false;
}

static void pause_shortly(void)
{
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };

	(void)nanosleep(&pause, NULL);
}

/*
 * While the keeper still runs: it tells the front what ended, so that clients hear of it. Connections that
 * run nothing do not end by this, and are not waited for long.
 */
static void end_sessions(uid_t uid)
{
	for (int i = 0; i < 30 && has_sessions(uid); i++) {
		(void)kill_all_of(uid);
		pause_shortly();
	}
}

/* The socket's folder: the socket unit made it, and leaves it. */
static int remove_runtime(uid_t uid, Reason *ret_reason)
{
	char path[48];

	(void)snprintf(path, sizeof(path), "/run/creel/%u/keeper.sock", uid);
	if (unlink(path) < 0 && errno != ENOENT)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	*strrchr(path, '/') = '\0';
	if (rmdir(path) < 0 && errno != ENOENT)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	return 0;
}

/* `linger`: systemd starts its user manager at boot, still. */
static int end_all(const char *name, uid_t uid, bool linger, Reason *ret_reason)
{
	UnitName socket, keeper, leaves, rescue, manager, runtime, slice;
	const char *const no_linger[] = { LOGINCTL, "disable-linger", name, NULL };
	const char *const terminate[] = { LOGINCTL, "terminate-user", name, NULL };
	const char *const stop_keeper[] = {
		SYSTEMCTL,
		"stop",
		unit_name(&socket, "creel-keeper@", uid, ".socket"),
		unit_name(&keeper, "creel-keeper@", uid, ".service"),
		NULL,
	};
	const char *const forget[] = {
		SYSTEMCTL,
		"reset-failed",
		unit_name(&socket, "creel-keeper@", uid, ".socket"),
		unit_name(&keeper, "creel-keeper@", uid, ".service"),
		unit_name(&leaves, "creel-leaves@", uid, ".service"),
		unit_name(&rescue, "creel-rescue@", uid, ".service"),
		unit_name(&manager, "user@", uid, ".service"),
		unit_name(&runtime, "user-runtime-dir@", uid, ".service"),
		unit_name(&slice, "user-", uid, ".slice"),
		NULL,
	};
	const char *const stop_rest[] = {
		SYSTEMCTL,
		"stop",
		unit_name(&leaves, "creel-leaves@", uid, ".service"),
		unit_name(&rescue, "creel-rescue@", uid, ".service"),
		unit_name(&manager, "user@", uid, ".service"),
		unit_name(&runtime, "user-runtime-dir@", uid, ".service"),
		unit_name(&slice, "user-", uid, ".slice"),
		NULL,
	};
	Reason ignored;
	int left = 0;

	/* what follows kills by uid: a mistake of a caller must not reach the system */
	if (uid < 1000)
		return reason_set(ret_reason, -EPERM, "uid %u belongs to the system", uid);

	/*
	 * Each of these may fail because its object is gone, after an earlier attempt or because it never
	 * came up. What counts is the end: no process is left.
	 */
	end_sessions(uid);
	(void)!command_run(stop_keeper, &ignored);
	if (!linger)
		(void)!command_run(no_linger, &ignored);
	(void)!command_run(terminate, &ignored);
	kill_slice(uid);
	thaw_slice(uid);
	(void)!command_run(stop_rest, &ignored);

	for (int i = 0; i < 100; i++) {
		kill_slice(uid);
		left = kill_all_of(uid);
		if (left <= 0)
			break;
		pause_shortly();
	}
	/* being killed counts as a failure of theirs; of an agent that is gone nothing should be listed */
	(void)!command_run(forget, &ignored);
	if (left > 0)
		return reason_set(ret_reason, -EBUSY, "%d processes of uid %u do not end", left, uid);
	if (left < 0)
		return reason_set(ret_reason, left, "/proc: %s", strerror(-left));
	return remove_runtime(uid, ret_reason);
}

int units_end(const char *name, uid_t uid, Reason *ret_reason)
{
	return end_all(name, uid, false, ret_reason);
}

int units_stop(const char *name, uid_t uid, Reason *ret_reason)
{
	return end_all(name, uid, true, ret_reason);
}

bool units_are_stopped(uid_t uid)
{
	char path[48];

	(void)snprintf(path, sizeof(path), AGENT_STOPPED_DIR "/%u", uid);
	return access(path, F_OK) == 0;
}

int units_stopped_set(uid_t uid, bool stopped, Reason *ret_reason)
{
	char path[48];
	int fd;

	(void)snprintf(path, sizeof(path), AGENT_STOPPED_DIR "/%u", uid);
	if (!stopped) {
		if (unlink(path) < 0 && errno != ENOENT)
			return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
		return 0;
	}
	if (mkdir(AGENT_STOPPED_DIR, 0755) < 0 && errno != EEXIST)
		return reason_set(ret_reason, -errno, "%s: %s", AGENT_STOPPED_DIR, strerror(errno));
	fd = open(path, O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	(void)close(fd);
	return 0;
}

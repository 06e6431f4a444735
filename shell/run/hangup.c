/* SPDX-License-Identifier: MIT */
/*
 * Hang-up of a leaf: stop the world, sort, move, kill.
 *
 * Freezing comes first: while a leaf is frozen no process in it runs, so the list of processes is complete and none
 * can fork a child that would be neither moved nor killed. A frozen process can be moved; it runs again in its new,
 * unfrozen cgroup (cgroup-v2.rst, cgroup.freeze). SIGKILL by cgroup.kill reaches frozen processes too.
 */
#include "shell/run/leaf.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define FREEZE_TIMEOUT_MSEC 500

/* Waits for "frozen 1" in cgroup.events, whose changes are told by POLLPRI. */
static int wait_frozen(int leaf_fd)
{
	_cleanup_close_ int fd = openat(leaf_fd, "cgroup.events", O_RDONLY | O_CLOEXEC);
	struct timespec start, now;

	if (fd < 0)
		return -errno;
	(void)clock_gettime(CLOCK_MONOTONIC, &start);
	for (;;) {
		char text[128];
		struct pollfd poll_fd = { .fd = fd, .events = POLLPRI };
		ssize_t n = pread(fd, text, sizeof(text) - 1, 0);
		long passed;

		if (n < 0)
			return -errno;
		text[n] = '\0';
		if (strstr(text, "frozen 1") || strstr(text, "populated 0"))
			return 0;
		(void)clock_gettime(CLOCK_MONOTONIC, &now);
		passed = (now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000;
		if (passed >= FREEZE_TIMEOUT_MSEC)
			return -ETIMEDOUT;
		if (poll(&poll_fd, 1, (int)(FREEZE_TIMEOUT_MSEC - passed)) < 0 && errno != EINTR)
			return -errno;
	}
}

/* Field 6 of /proc/PID/stat, counted from behind the command name, which may hold anything (proc(5)). */
static pid_t process_session(const char *stat)
{
	const char *p = strrchr(stat, ')');
	int ppid, pgrp, sid;
	char state;

	if (!p || sscanf(p + 1, " %c %d %d %d", &state, &ppid, &pgrp, &sid) != 4)
		return -1;
	return sid;
}

static bool process_ignores_hangup(const char *status)
{
	const char *p = strstr(status, "\nSigIgn:");

	return p && (strtoull(p + strlen("\nSigIgn:"), NULL, 16) & 1); /* bit 0 is signal 1, SIGHUP */
}

/*
 * Whether the process asked to live on. A process that is gone did not; nor did the first of a leaf that was just born and has
 * not made its session yet: it is in the keeper's until then.
 */
static bool process_survives(const char *pid, pid_t main_sid)
{
	char path[64], text[4096];
	pid_t sid;

	(void)snprintf(path, sizeof(path), "/proc/%s/stat", pid);
	if (file_get_at(AT_FDCWD, path, text, sizeof(text)) < 0)
		return false;
	sid = process_session(text);
	if (sid > 0 && sid != main_sid && strtol(pid, NULL, 10) != main_sid)
		return true;

	(void)snprintf(path, sizeof(path), "/proc/%s/status", pid);
	return file_get_at(AT_FDCWD, path, text, sizeof(text)) == 0 && process_ignores_hangup(text);
}

static int move_survivors(int leaf_fd, pid_t main_sid, int kept_fd)
{
	_cleanup_free_ char *procs = NULL;
	_cleanup_close_ int fd = openat(leaf_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	char *line, *rest;
	int moved = 0, r;

	if (fd < 0)
		return -errno;
	r = file_read_fd(fd, 1 << 20, &procs, NULL);
	if (r < 0)
		return r;
	rest = procs;
	while ((line = strsep(&rest, "\n"))) {
		if (!*line || !process_survives(line, main_sid))
			continue;
		r = file_put_at(kept_fd, "cgroup.procs", line);
		if (r < 0 && r != -ESRCH)
			return r;
		if (!r)
			moved++;
	}
	return moved;
}

int leaf_hang_up(int leaf_fd, pid_t main_sid, int kept_fd)
{
	int moved, r;

	r = file_put_at(leaf_fd, "cgroup.freeze", "1");
	if (!r)
		r = wait_frozen(leaf_fd);
	/* a leaf that will not freeze in time is sorted all the same: better a missed fork than a survivor killed */
	moved = r < 0 && r != -ETIMEDOUT ? r : move_survivors(leaf_fd, main_sid, kept_fd);
	r = leaf_kill(leaf_fd);
	return moved < 0 ? moved : r < 0 ? r : moved;
}

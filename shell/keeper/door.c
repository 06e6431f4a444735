/* SPDX-License-Identifier: MIT */
/*
 * Sessions of doors that are not ours: a root process that opens a session for the agent (su, login, the operator's sshd) asks
 * by pam_creel.so, which is the process itself, before it becomes the agent.
 *
 * Where logind made a scope for it below the agent's slice, it stays there; else it is moved into the leaf `door` of the new
 * session, with all that it starts later. The kernel's SO_PEERCRED says which process asks; it waits for the answer, so that
 * its number cannot become another's meanwhile.
 *
 * The session ends with that process. What it left behind in the leaf lives on, as it does behind a command that ended; the
 * leaf goes with the last of it. What a later keeper must know lies in marks of the session's folder.
 */
#include "shell/keeper/keeper.h"
#include "shell/keeper/place.h"
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"
#include "shell/policy/slice.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>

#define LEAF_NAME "door"

const char *door_name(const char *service)
{
	static const struct {
		const char *service, *name;
	} names[] = {
		{ "sshd", "openssh" },
		{ "login", "console" },
		{ "su-l", "su" },
	};

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(service, names[i].service) == 0)
			return names[i].name;
	return service;
}

/* In a scope of logind's below this agent's slice. The process is root's, and its file can be read by all. */
static int in_scope(const Keeper *keeper, pid_t pid, bool *ret)
{
	char place[PLACE_SIZE];
	int r = place_read(pid, keeper->uid, place);

	if (r < 0 && r != -ENODATA)
		return r;
	*ret = r == 0 && place_is_scope(place);
	return 0;
}

void door_done(Session *session)
{
	session->door_source = sd_event_source_disable_unref(session->door_source);
	session->door_fd = fd_close(session->door_fd);
	session->door_leaf_fd = fd_close(session->door_leaf_fd);
	free(session->door);
	session->door = NULL;
}

bool door_lives(const Session *session)
{
	bool populated = false;

	return session->door_fd >= 0 ||
	       (session->door_leaf_fd >= 0 && leaf_populated(session->door_leaf_fd, &populated) == 0 && populated);
}

/* sshd's and su's own process lies in logind's scope as well, and is root's: the keeper, which may signal it, ends all together. */
static int kill_scope(const Session *session)
{
	_cleanup_close_ int fd = -EBADF;
	char place[PLACE_SIZE];
	uint64_t pid;
	int r;

	r = leaf_marked_number(session->dir_fd, "pid", &pid);
	if (r == 0)
		r = place_read((pid_t)pid, session->keeper->uid, place);
	/* it is over, or lies in the leaf */
	if (r < 0 || !place_is_scope(place))
		return 0;
	r = leaf_open(session->keeper->slice_fd, place, &fd);
	return r == -ENOENT ? 0 : r < 0 ? r : leaf_kill(fd);
}

int door_kill(Session *session)
{
	int r = session->door_fd >= 0 ? kill_scope(session) : 0;

	if (session->door_fd >= 0 && pidfd_send_signal(session->door_fd, SIGKILL, NULL, 0) < 0 && errno != ESRCH)
		return -errno;
	return r;
}

static int on_leaf_changed(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	Session *session = userdata;

	session_collect(session); /* if it is empty by now; may free the session */
	return 0;
}

/* Its process ended: what it left behind keeps the leaf. May free the session. */
static void door_end(Session *session)
{
	char path[64];

	session->door_source = sd_event_source_disable_unref(session->door_source);
	session->door_fd = fd_close(session->door_fd);
	session_hang_up(session);
	if (door_lives(session)) {
		(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/cgroup.events", session->door_leaf_fd);
		if (sd_event_add_inotify(session->keeper->event, &session->door_source, path, IN_MODIFY,
			    on_leaf_changed, session) < 0)
			log_error("session %s: cannot watch its leaf", session->id);
	}
	/* it may have emptied before the watch was there */
	session_collect(session);
}

static int on_process_ended(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	door_end(userdata);
	return 0;
}

static int watch(Session *session)
{
	return sd_event_add_io(
		session->keeper->event, &session->door_source, session->door_fd, EPOLLIN, on_process_ended, session);
}

/* The process's own number is marked: a later keeper takes it for the same only if it still lies where it was. */
static int mark(const Session *session, pid_t pid)
{
	int r;

	r = leaf_mark(session->dir_fd, "door", session->door);
	return r < 0 ? r : leaf_mark_number(session->dir_fd, "pid", (uint64_t)pid);
}

static int take_in(Session *session, pid_t pid)
{
	char number[16];
	bool scope;
	int r;

	r = in_scope(session->keeper, pid, &scope);
	if (r < 0 || scope)
		return r;
	r = leaf_make(session->dir_fd, LEAF_NAME, NULL, false, &session->door_leaf_fd);
	if (r < 0)
		return r;
	(void)snprintf(number, sizeof(number), "%d", (int)pid);
	return file_put_at(session->door_leaf_fd, "cgroup.procs", number);
}

int door_open(Keeper *keeper, pid_t pid, const DoorRequest *request, Session **ret)
{
	KeyOptions options = KEY_OPTIONS_NONE;
	const char *peer = *request->host ? request->host : *request->terminal ? request->terminal : "local";
	_cleanup_close_ int process_fd = pidfd_open(pid, 0);
	Session *session;
	int r;

	if (process_fd < 0)
		return -errno;
	r = session_new(keeper, NULL, peer, "", &options, &session);
	if (r < 0)
		return r;
	session->door_fd = TAKE_FD(process_fd);
	session->door = strdup(door_name(request->service));
	r = session->door ? mark(session, pid) : -ENOMEM;
	if (!r)
		r = take_in(session, pid);
	if (!r)
		r = watch(session);
	if (r < 0) {
		/* whoever asked refuses the session, and ends */
		session->over = true;
		session->door_fd = fd_close(session->door_fd);
		session_collect(session);
		return r;
	}
	*ret = session;
	return 0;
}

/* Whether the process of that number is the one that was taken in. */
static bool same_process(const Session *session, pid_t pid)
{
	bool scope;

	if (session->door_leaf_fd >= 0)
		return leaf_has_process(session->door_leaf_fd, pid);
	return in_scope(session->keeper, pid, &scope) == 0 && scope;
}

int door_adopt(Session *session)
{
	uint64_t pid = 0;
	int r;

	r = leaf_marked(session->dir_fd, "door", &session->door);
	if (r == -ENODATA)
		return 0;
	if (!r)
		r = leaf_marked_number(session->dir_fd, "pid", &pid);
	if (r < 0)
		return r;
	r = leaf_open(session->dir_fd, LEAF_NAME, &session->door_leaf_fd);
	if (r < 0 && r != -ENOENT)
		return r;
	session->door_fd = pidfd_open((pid_t)pid, 0);
	if (session->door_fd >= 0 && !same_process(session, (pid_t)pid))
		session->door_fd = fd_close(session->door_fd);
	return session->door_fd >= 0 ? watch(session) : 0;
}

void door_after_adoption(Session *session)
{
	/* it ended while there was no keeper */
	if (session->door && session->door_fd < 0)
		door_end(session);
}

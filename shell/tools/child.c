/* SPDX-License-Identifier: MIT */
/*
 * The end is the process's, told by its pidfd: what it left behind may hold the pipes for ever. What is in them by then is read.
 */
#include "shell/tools/child.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

#define GRACE_USEC UINT64_C(5000000)

extern char **environ;

typedef struct Stream {
	int fd;
	sd_event_source *source;
	char *bytes;
	size_t n, room;
	bool cut;
} Stream;

struct Child {
	pid_t pid;
	int pid_fd;
	Stream streams[2]; /* its stdout and stderr */
	sd_event_source *exit_source, *timer;
	void (*ended)(void *userdata, const ChildEnd *end);
	void *userdata;
	bool late, stopped;
};

/* ---- what it writes ---- */

/* Returns whether there may be more now. */
static bool stream_read(Stream *stream)
{
	char bytes[16384];
	ssize_t n = read(stream->fd, bytes, sizeof(bytes));

	if (n <= 0) {
		if (n == 0 || (errno != EAGAIN && errno != EINTR))
			(void)sd_event_source_set_enabled(stream->source, SD_EVENT_OFF);
		return n < 0 && errno == EINTR;
	}
	if (stream->cut) /* what fits again would stand where it does not belong */
		return true;
	if (stream->n + (size_t)n > stream->room) {
		size_t room = stream->room ? stream->room * 2 : 2 * sizeof(bytes);
		char *more = room <= CHILD_OUTPUT_MAX ? realloc(stream->bytes, room) : NULL;

		if (!more) {
			stream->cut = true;
			return true;
		}
		stream->bytes = more;
		stream->room = room;
	}
	memcpy(stream->bytes + stream->n, bytes, (size_t)n);
	stream->n += (size_t)n;
	return true;
}

static int on_output(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	(void)stream_read(userdata);
	return 0;
}

/* ---- its end ---- */

static void child_destroy(Child *child)
{
	for (size_t i = 0; i < ELEMENTSOF(child->streams); i++) {
		sd_event_source_disable_unref(child->streams[i].source);
		free(child->streams[i].bytes);
		(void)fd_close(child->streams[i].fd);
	}
	sd_event_source_disable_unref(child->exit_source);
	sd_event_source_disable_unref(child->timer);
	(void)fd_close(child->pid_fd);
	free(child);
}

static int on_exit_of(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Child *child = userdata;
	siginfo_t info = { 0 };
	ChildEnd end = { 0 };

	if (waitid(P_PIDFD, (id_t)child->pid_fd, &info, WEXITED | WNOHANG) < 0 || info.si_pid == 0)
		return 0;
	/* twice the bound: what was left behind may write on and on */
	for (size_t i = 0; i < ELEMENTSOF(child->streams); i++)
		for (size_t turns = 0; turns < 2 * CHILD_OUTPUT_MAX / 16384 && stream_read(&child->streams[i]); turns++)
			;
	end = (ChildEnd){ .status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status,
		.late = child->late,
		.out = child->streams[0].bytes,
		.out_n = child->streams[0].n,
		.out_cut = child->streams[0].cut,
		.err = child->streams[1].bytes,
		.err_n = child->streams[1].n };
	child->ended(child->userdata, &end);
	child_destroy(child);
	return 0;
}

static void child_signal(const Child *child, int number)
{
	/* not reaped yet: the number is still its own */
	(void)kill(-child->pid, number);
}

void child_stop(Child *child)
{
	child_signal(child, child->stopped ? SIGKILL : SIGTERM);
	child->stopped = true;
	(void)sd_event_source_set_time_relative(child->timer, GRACE_USEC);
	(void)sd_event_source_set_enabled(child->timer, SD_EVENT_ONESHOT);
}

static int on_time(sd_event_source *source, uint64_t now, void *userdata)
{
	Child *child = userdata;

	if (!child->stopped)
		child->late = true;
	child_stop(child);
	return 0;
}

Child *child_free(Child *child)
{
	if (child) {
		child_signal(child, SIGTERM);
		child_destroy(child);
	}
	return NULL;
}

/* ---- its beginning ---- */

static int spawn(const char *path, char *const argv[], int out_fd, int err_fd, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r) {
		posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, out_fd, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, err_fd, STDERR_FILENO);
	if (!r)
		r = posix_spawnattr_setsigmask(&attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(&attributes, &all);
	if (!r)
		r = posix_spawnattr_setflags(
			&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!r)
		r = posix_spawn(ret, path, &actions, &attributes, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	return -r;
}

static int child_watch(Child *child, sd_event *event, uint64_t timeout_usec)
{
	int r = 0;

	for (size_t i = 0; r >= 0 && i < ELEMENTSOF(child->streams); i++)
		r = sd_event_add_io(
			event, &child->streams[i].source, child->streams[i].fd, EPOLLIN, on_output, &child->streams[i]);
	if (r >= 0)
		r = sd_event_add_io(event, &child->exit_source, child->pid_fd, EPOLLIN, on_exit_of, child);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &child->timer, CLOCK_MONOTONIC, timeout_usec, UINT64_C(100000), on_time, child);
	return r;
}

int child_start(sd_event *event, const char *path, char *const argv[], uint64_t timeout_usec,
	void (*ended)(void *userdata, const ChildEnd *end), void *userdata, Child **ret)
{
	Child *child = malloc(sizeof(*child));
	int r = 0;

	if (!child)
		return -ENOMEM;
	*child = (Child){ .pid_fd = -EBADF,
		.streams = { { .fd = -EBADF }, { .fd = -EBADF } },
		.ended = ended,
		.userdata = userdata };
	{
		_cleanup_close_ int out_fd = -EBADF, err_fd = -EBADF;
		int *const inner[] = { &out_fd, &err_fd };

		for (size_t i = 0; r == 0 && i < ELEMENTSOF(inner); i++) {
			int ends[2];

			if (pipe2(ends, O_CLOEXEC) < 0) {
				r = -errno;
				break;
			}
			child->streams[i].fd = ends[0];
			*inner[i] = ends[1];
			if (fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0)
				r = -errno;
		}
		if (r == 0)
			r = spawn(path, argv, out_fd, err_fd, &child->pid);
	}
	if (r < 0) {
		child_destroy(child);
		return r;
	}
	child->pid_fd = pidfd_open(child->pid, 0);
	r = child->pid_fd < 0 ? -errno : child_watch(child, event, timeout_usec);
	if (r < 0) {
		child_signal(child, SIGKILL);
		(void)waitpid(child->pid, NULL, 0);
		child_destroy(child);
		return r;
	}
	*ret = child;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A keeper may die at any time; what runs does not notice. The next keeper finds the leaves, reads their marks, watches
 * the processes by pidfd, and waits for the front to claim its sessions. What nobody claims is hung up.
 */
#include "shell/keeper/keeper.h"
#include "shell/base/log.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/pidfd.h>

/* A front reconnects as soon as its connection to the dead keeper breaks. */
#define CLAIM_TIMEOUT_USEC 10000000U

/* An adopted process is not our child: that it ended can be seen, how it ended cannot. */
static int on_exit_adopted(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	channel_finish(userdata, "unknown", 0, false);
	return 0;
}

static int watch_adopted(Channel *channel)
{
	channel->pid_fd = pidfd_open(channel->pid, 0);
	if (channel->pid_fd < 0)
		return -errno;
	/* the number may be another's by now: it must be in this leaf, or in kept/ with what survived a hang-up */
	if (!leaf_has_process(channel->leaf_fd, channel->pid))
		return -ESRCH;
	return sd_event_add_io(channel->session->keeper->event, &channel->exit_source, channel->pid_fd, EPOLLIN,
		on_exit_adopted, channel);
}

static int adopt_channel(Session *session, int parent_fd, bool rescue, const char *name)
{
	_cleanup_(channel_freep) Channel *channel = NULL;
	_cleanup_free_ char *kind = NULL, *command = NULL;
	_cleanup_close_ int leaf_fd = -EBADF;
	uint64_t started, pid;
	unsigned int number;
	Channel *adopted;
	int r;

	if (sscanf(name, "exec-%u", &number) != 1)
		return -EINVAL;
	r = leaf_open(parent_fd, name, &leaf_fd);
	if (!r)
		r = leaf_marked(leaf_fd, "kind", &kind);
	if (!r)
		r = leaf_marked(leaf_fd, "command", &command);
	if (!r)
		r = leaf_marked_number(leaf_fd, "started", &started);
	if (!r)
		r = leaf_marked_number(leaf_fd, "pid", &pid);
	if (!r)
		r = channel_make(session, kind, TAKE_PTR(command), &channel);
	if (r)
		return r;
	channel->number = number;
	channel->pid = (pid_t)pid;
	channel->leaf_fd = TAKE_FD(leaf_fd);
	channel->started_usec = started;
	(void)snprintf(channel->name, sizeof(channel->name), "exec-%u", number);
	if (leaf_marked_number(channel->leaf_fd, "command-bytes", &channel->command_bytes) < 0)
		channel->command_bytes = 0;
	if (leaf_marked(channel->leaf_fd, "recording", &channel->recording) < 0)
		channel->recording = NULL;
	channel->terminal = leaf_is_marked(channel->leaf_fd, "terminal");
	channel->told = leaf_is_marked(channel->leaf_fd, "told");
	channel->rescue = rescue;
	channel->parent_fd = rescue ? fcntl(parent_fd, F_DUPFD_CLOEXEC, 3) : parent_fd;
	if (channel->parent_fd < 0)
		return -errno;

	if (leaf_is_marked(channel->leaf_fd, "ended")) {
		channel->state = CHANNEL_ENDED;
	} else {
		r = watch_adopted(channel);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	adopted = TAKE_PTR(channel);
	channel_link(adopted);
	if (adopted->state == CHANNEL_ENDED)
		channel_wait_empty(adopted);
	else if (r == -ESRCH)
		/* it ended while there was no keeper */
		channel_finish(adopted, "unknown", 0, false);
	return 0;
}

/* Half-born leaves have no marks: a keeper died between two steps. Whatever is in them was never handed to anybody. */
static void adopt_channels(Session *session, int dir_fd, bool rescue)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0)
		dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return;
	}
	while ((entry = readdir(dir))) {
		_cleanup_close_ int leaf_fd = -EBADF;
		int r;

		if (entry->d_type != DT_DIR || strncmp(entry->d_name, "exec-", 5) != 0)
			continue;
		r = adopt_channel(session, dir_fd, rescue, entry->d_name);
		if (r >= 0)
			continue;
		log_warning("session %s: ending half-born leaf %s: %s", session->id, entry->d_name, strerror(-r));
		if (leaf_open(dir_fd, entry->d_name, &leaf_fd) < 0 || leaf_kill(leaf_fd) < 0 ||
			leaf_remove(dir_fd, entry->d_name) < 0)
			log_warning("session %s: leaf %s stays for now", session->id, entry->d_name);
	}
}

static int adopt_session(Keeper *keeper, const char *id)
{
	_cleanup_close_ int rescue_fd = -EBADF;
	Session *session;
	char name[48];
	bool over;
	int r;

	r = session_adopt(keeper, id, &session);
	if (r < 0)
		return r;
	/* kept from being collected while its channels are read */
	over = session->over;
	session->over = false;
	adopt_channels(session, session->dir_fd, false);
	(void)snprintf(name, sizeof(name), "session-%s", id);
	if (leaf_open(keeper->rescue_fd, name, &rescue_fd) == 0) {
		keeper->rescued = session;
		adopt_channels(session, rescue_fd, true);
	}
	session->over = over;
	/* the keeper may have died in the middle of a hang-up */
	if (over)
		session_hang_up(session);
	if (session->door)
		door_after_adoption(session);
	else
		session_collect(session);
	return 0;
}

static int on_claim_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	Keeper *keeper = userdata;
	Session *next;

	for (Session *session = keeper->sessions; session; session = next) {
		next = session->next;
		if (!session->front && !session->over && !session->door) {
			session_hang_up(session);
			session_collect(session);
		}
	}
	keeper->attach_timer = sd_event_source_disable_unref(keeper->attach_timer);
	return 0;
}

int keeper_adopt(Keeper *keeper)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd = openat(keeper->leaves_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir))) {
		int r;

		if (entry->d_type != DT_DIR || strncmp(entry->d_name, "session-", 8) != 0)
			continue;
		r = adopt_session(keeper, entry->d_name + 8);
		if (r < 0) {
			log_warning("cannot adopt %s: %s", entry->d_name, strerror(-r));
			if (leaf_remove(keeper->leaves_fd, entry->d_name) < 0)
				log_warning("%s stays: something lives in it", entry->d_name);
		}
	}
	if (!keeper_count_sessions(keeper))
		return 0;
	keeper_record_event(keeper, "the keeper came back and adopted running sessions");
	return sd_event_add_time_relative(
		keeper->event, &keeper->attach_timer, CLOCK_MONOTONIC, CLAIM_TIMEOUT_USEC, 0, on_claim_timeout, keeper);
}

/* SPDX-License-Identifier: MIT */
/*
 * A channel's life after its birth (start.c): exit or hang-up, and the wait until its descendants are gone too.
 *
 * For a client its command runs until it is told that it ended. When the client goes before that, the process itself may
 * have ended already - because its client went, more often than not - and what it started is hung up all the same. What it
 * left behind when the client was told is nobody's command: it lives on, as with OpenSSH's server.
 *
 * Its process may be ended by: itself, a limit, a signal that the client sent, a hang-up, cgroup.kill. Each way ends in
 * channel_finish(), once, which reads the leaf, writes the record and tells the front.
 */
#include "shell/keeper/executions.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"

#include <signal.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/pidfd.h>

/* How long a shell on a pty has, after its terminal hung up, to end by itself and save its history. */
#define TERMINAL_GRACE_USEC 250000U

static void channel_unlink(Channel *channel)
{
	Session *session = channel->session;

	for (Channel **p = &session->channels; *p; p = &(*p)->next)
		if (*p == channel) {
			*p = channel->next;
			break;
		}
}

Channel *channel_free(Channel *channel)
{
	if (channel) {
		sd_event_source_disable_unref(channel->exit_source);
		sd_event_source_disable_unref(channel->hangup_timer);
		sd_event_source_disable_unref(channel->empty_source);
		fd_close(channel->pid_fd);
		fd_close(channel->leaf_fd);
		if (channel->rescue)
			fd_close(channel->parent_fd);
		free(channel->command);
		free(channel->original);
		free(channel->recording);
		free(channel);
	}
	return NULL;
}

int channel_make(Session *session, const char *kind, char *command, Channel **ret)
{
	_cleanup_free_ char *taken = command;
	_cleanup_(channel_freep) Channel *channel = NULL;

	if (!taken)
		return -ENOMEM;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return -ENOMEM;
	channel->command = TAKE_PTR(taken);
	(void)snprintf(channel->kind, sizeof(channel->kind), "%s", kind);
	channel->session = session;
	channel->pid_fd = channel->leaf_fd = channel->parent_fd = -EBADF;
	*ret = TAKE_PTR(channel);
	return 0;
}

void channel_link(Channel *channel)
{
	channel->next = channel->session->channels;
	channel->session->channels = channel;
}

/* The last process is gone: the leaf, the channel and, if it was the last thing, the session go. */
static void channel_collect(Channel *channel)
{
	Session *session = channel->session;
	int r = leaf_remove(channel->parent_fd, channel->name);

	if (r < 0)
		log_error("cannot remove the leaf %s of session %s: %s", channel->name, session->id, strerror(-r));
	rescue_leave(session);
	channel_unlink(channel);
	channel_free(channel);
	session_collect(session);
}

static int on_events_changed(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	Channel *channel = userdata;
	bool populated;

	if (channel->state == CHANNEL_ENDED && leaf_populated(channel->leaf_fd, &populated) == 0 && !populated)
		channel_collect(channel);
	return 0;
}

/* The process ended; collect now, or when the descendants that still live in the leaf have ended. */
void channel_wait_empty(Channel *channel)
{
	bool populated = false;
	char path[64];
	int r;

	if (leaf_populated(channel->leaf_fd, &populated) < 0 || !populated) {
		channel_collect(channel);
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/cgroup.events", channel->leaf_fd);
	r = sd_event_add_inotify(
		channel->session->keeper->event, &channel->empty_source, path, IN_MODIFY, on_events_changed, channel);
	if (r < 0)
		log_error("cannot watch the leaf %s: %s", channel->name, strerror(-r));
	/* it may have emptied before the watch was there */
	if (leaf_populated(channel->leaf_fd, &populated) == 0 && !populated)
		channel_collect(channel);
}

/* A line for the user when a limit, and not the command itself, was the reason. */
static void explain(const Channel *channel, const char *how, int value, const LeafUsage *usage, char *note, size_t size)
{
	note[0] = '\0';
	if (strcmp(how, "unknown") == 0)
		(void)snprintf(note, size, "creel: the exit status is unknown: the keeper was restarted meanwhile");
	else if (strcmp(how, "signal") == 0 && value == SIGKILL && usage->oom_kills > 0)
		(void)snprintf(note, size, "creel: killed: out of memory (see `creel limits`)");
}

static void tell_front(const Channel *channel, const char *how, int value, uint32_t flags, const char *note)
{
	const Session *session = channel->session;
	int r;

	if (!session->front)
		return;
	r = sd_bus_emit_signal(session->front->bus, KEEPER_OBJECT, KEEPER_INTERFACE, "Exited", "susuus", session->id,
		channel->number, how, (uint32_t)value, flags, note);
	if (r < 0)
		log_error("cannot tell the front about an exit: %s", strerror(-r));
}

void channel_finish(Channel *channel, const char *how, int value, bool core)
{
	uint32_t flags = core ? KEEPER_EXITED_CORE : 0;
	bool populated = false;
	LeafUsage usage;
	char note[128];

	leaf_usage(channel->leaf_fd, &usage);
	explain(channel, how, value, &usage, note, sizeof(note));
	if (!channel->hung_up && leaf_populated(channel->leaf_fd, &populated) == 0 && populated)
		flags |= KEEPER_EXITED_LEFT;
	/* the client waits for this; the record can follow */
	tell_front(channel, how, value, flags, note);
	/* what it executed stands before its end */
	executions_drain(channel->session->keeper);
	keeper_record_command(channel, channel->hung_up ? "hangup" : how, value, &usage, note);

	channel->state = CHANNEL_ENDED;
	/* so that a later keeper does not record it again while descendants live in the leaf */
	if (leaf_mark(channel->leaf_fd, "ended", "yes") < 0)
		log_error("cannot mark the leaf %s of session %s", channel->name, channel->session->id);
	channel->exit_source = sd_event_source_disable_unref(channel->exit_source);
	channel->hangup_timer = sd_event_source_disable_unref(channel->hangup_timer);
	channel->pid_fd = fd_close(channel->pid_fd);

	/* a shell that ended in its grace may have left others behind that did not ask to survive */
	if (channel->hung_up && leaf_hang_up(channel->leaf_fd, channel->pid, channel->session->keeper->kept_fd) < 0)
		log_error("session %s: hang-up of %s was not orderly", channel->session->id, channel->name);
	channel_wait_empty(channel);
}

/* The process leads a session and group of its own: what it started in the foreground hears it too. */
static int send_signal(const Channel *channel, int number)
{
	if (kill(-channel->pid, number) == 0)
		return 0;
	if (errno != ESRCH)
		return -errno;
	/* just born, it has not made its session yet */
	return pidfd_send_signal(channel->pid_fd, number, NULL, 0) < 0 ? -errno : 0;
}

int channel_signal(Channel *channel, const char *name)
{
	/* RFC 4254 section 6.10 names, and those of RFC 4254's clients' everyday use; nothing that stops the keeper's view */
	static const int allowed[] = { SIGABRT, SIGALRM, SIGHUP, SIGINT, SIGKILL, SIGPIPE, SIGQUIT, SIGTERM, SIGUSR1,
		SIGUSR2, SIGCONT, SIGTSTP, SIGWINCH };

	for (size_t i = 0; i < ELEMENTSOF(allowed); i++)
		if (strcmp(sigabbrev_np(allowed[i]), name) == 0)
			return send_signal(channel, allowed[i]);
	return -EINVAL;
}

static void channel_end_leaf(Channel *channel)
{
	int r = leaf_hang_up(channel->leaf_fd, channel->pid, channel->session->keeper->kept_fd);

	if (r < 0)
		log_error("session %s: hang-up of %s was not orderly: %s", channel->session->id, channel->name,
			strerror(-r));
}

static int on_grace_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	channel_end_leaf(userdata);
	return 0;
}

void channel_hang_up(Channel *channel)
{
	if (channel->hung_up || channel->told)
		return;
	channel->hung_up = true;
	/* the front closes the master now: the kernel sends SIGHUP to the shell and what is in its foreground */
	if (channel->state == CHANNEL_RUNNING && channel->terminal &&
		sd_event_add_time_relative(channel->session->keeper->event, &channel->hangup_timer, CLOCK_MONOTONIC,
			TERMINAL_GRACE_USEC, 0, on_grace_over, channel) >= 0)
		return;
	channel_end_leaf(channel);
}

void channel_tell(Channel *channel)
{
	channel->told = true;
	/* so that a later keeper knows */
	if (leaf_mark(channel->leaf_fd, "told", "yes") < 0)
		log_error("cannot mark the leaf %s of session %s", channel->name, channel->session->id);
}

/* SPDX-License-Identifier: MIT */
/* Sessions: their leaves, their marks, and their end. */
#include "shell/keeper/executions.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <string.h>
#include <sys/random.h>

static Session *session_free(Session *session)
{
	if (session) {
		free(session->peer);
		free(session->key);
		key_options_done(&session->options);
		door_done(session);
		fd_close(session->dir_fd);
		free(session);
	}
	return NULL;
}
DEFINE_CLEANUP(Session, session_free)

static int session_make(Keeper *keeper, const char *id, Session **ret)
{
	_cleanup_(session_freep) Session *session = calloc(1, sizeof(*session));

	if (!session)
		return -ENOMEM;
	session->keeper = keeper;
	session->dir_fd = session->door_fd = session->door_leaf_fd = -EBADF;
	(void)snprintf(session->id, sizeof(session->id), "%s", id);
	*ret = TAKE_PTR(session);
	return 0;
}

static void session_link(Session *session)
{
	session->next = session->keeper->sessions;
	session->keeper->sessions = session;
}

/* Never used again, not by a later keeper of the same uid either: a front that missed a removal must not meet another's. */
static int make_id(char ret[static SESSION_ID_SIZE])
{
	uint64_t number;

	if (getrandom(&number, sizeof(number), 0) != (ssize_t)sizeof(number))
		return -EIO;
	(void)snprintf(ret, SESSION_ID_SIZE, "%016llx", (unsigned long long)number);
	return 0;
}

static void dir_name(const Session *session, char ret[static 48])
{
	(void)snprintf(ret, 48, "session-%s", session->id);
}

static int session_make_dir(Session *session)
{
	const Policy *policy = session->keeper->policy;
	LeafLimits limits = {
		.memory = policy->session_memory,
		.tasks = policy->session_tasks,
		.cpu = policy->session_cpu,
	};
	char name[48];
	int r;

	dir_name(session, name);
	r = leaf_make(session->keeper->leaves_fd, name, &limits, true, &session->dir_fd);
	if (!r)
		r = leaf_mark(session->dir_fd, "peer", session->peer);
	if (!r)
		r = leaf_mark(session->dir_fd, "key", session->key);
	if (!r)
		r = leaf_mark_number(session->dir_fd, "since", session->since_usec);
	if (!r && session->options.text)
		r = leaf_mark(session->dir_fd, "options", session->options.text);
	if (r < 0 && session->dir_fd >= 0)
		if (leaf_remove(session->keeper->leaves_fd, name) < 0)
			log_error("cannot remove the leaf %s again", name);
	return r;
}

int session_new(Keeper *keeper, Peer *front, const char *peer, const char *key, KeyOptions *options, Session **ret)
{
	_cleanup_(key_options_done) KeyOptions taken = *options;
	_cleanup_(session_freep) Session *session = NULL;
	char id[SESSION_ID_SIZE];
	int r;

	*options = (KeyOptions){ 0 };
	r = make_id(id);
	if (r < 0)
		return r;
	r = session_make(keeper, id, &session);
	if (r < 0)
		return r;
	session->options = taken;
	taken = (KeyOptions){ 0 };
	session->front = front;
	session->since_usec = clock_realtime_usec();
	session->peer = strdup(peer);
	session->key = strdup(key);
	if (!session->peer || !session->key)
		return -ENOMEM;
	r = session_make_dir(session);
	if (r < 0)
		return r;
	session_link(session);
	*ret = TAKE_PTR(session);
	return 0;
}

static int adopt_options(Session *session)
{
	_cleanup_free_ char *text = NULL;
	KeyReason reason;
	int r;

	session->options = KEY_OPTIONS_NONE;
	r = leaf_marked(session->dir_fd, "options", &text);
	if (r == -ENODATA)
		return 0;
	return r < 0 ? r : key_options_parse(text, strlen(text), &session->options, &reason);
}

int session_adopt(Keeper *keeper, const char *id, Session **ret)
{
	_cleanup_(session_freep) Session *session = NULL;
	char name[48];
	int r;

	r = session_make(keeper, id, &session);
	if (r < 0)
		return r;
	dir_name(session, name);
	r = leaf_open(keeper->leaves_fd, name, &session->dir_fd);
	if (r < 0)
		return r;
	r = leaf_marked(session->dir_fd, "peer", &session->peer);
	if (!r)
		r = leaf_marked(session->dir_fd, "key", &session->key);
	if (!r)
		r = leaf_marked_number(session->dir_fd, "since", &session->since_usec);
	if (r < 0)
		return r;
	r = adopt_options(session);
	if (r < 0)
		return r;
	r = door_adopt(session);
	if (r < 0)
		return r;
	forward_end_adopted(session);
	session->over = leaf_is_marked(session->dir_fd, "over");
	session_link(session);
	*ret = TAKE_PTR(session);
	return 0;
}

uint64_t keeper_count_sessions(const Keeper *keeper)
{
	uint64_t n = 0;

	for (const Session *session = keeper->sessions; session; session = session->next)
		if (!session->over)
			n++;
	return n;
}

Session *session_find(Keeper *keeper, const char *id)
{
	for (Session *session = keeper->sessions; session; session = session->next)
		if (strcmp(session->id, id) == 0)
			return session;
	return NULL;
}

unsigned int session_running(const Session *session)
{
	unsigned int n = 0;

	for (const Channel *channel = session->channels; channel; channel = channel->next)
		n += channel->state == CHANNEL_RUNNING;
	return n;
}

Channel *session_channel(Session *session, uint32_t number)
{
	for (Channel *channel = session->channels; channel; channel = channel->next)
		if (channel->number == number && channel->state == CHANNEL_RUNNING)
			return channel;
	return NULL;
}

Channel *session_left_channel(Session *session, uint32_t number)
{
	for (Channel *channel = session->channels; channel; channel = channel->next)
		if (channel->number == number && channel->state == CHANNEL_ENDED && !channel->told)
			return channel;
	return NULL;
}

void session_hang_up(Session *session)
{
	Channel *next;

	if (!session->over) {
		session->over = true;
		executions_drain(session->keeper);
		keeper_record_logout(session->keeper, session);
		/* so that a later keeper neither waits for its front nor records its end again */
		if (leaf_mark(session->dir_fd, "over", "yes") < 0)
			log_error("cannot mark session %s as over", session->id);
	}
	session->front = NULL;
	forward_abandon(session);
	for (Channel *channel = session->channels; channel; channel = next) {
		next = channel->next;
		channel_hang_up(channel);
	}
}

/* First what runs, so that nothing of it acts on the loss of its client. */
int session_kill(Session *session)
{
	Peer *front = session->front;
	int r, k;

	r = leaf_kill(session->dir_fd);
	for (const Channel *channel = session->channels; channel; channel = channel->next) {
		k = leaf_kill(channel->leaf_fd);
		r = r < 0 ? r : k;
	}
	if (session->door) {
		k = door_kill(session);
		return r < 0 ? r : k;
	}
	if (front) {
		k = sd_bus_emit_signal(front->bus, KEEPER_OBJECT, KEEPER_INTERFACE, "Ended", "s", session->id);
		return r < 0 ? r : k < 0 ? k : 0;
	}
	session_hang_up(session);
	session_collect(session);
	return r;
}

void session_collect(Session *session)
{
	Keeper *keeper = session->keeper;
	char name[48];
	int r;

	if (!session->over || session->channels || door_lives(session))
		return;

	dir_name(session, name);
	r = leaf_remove(keeper->leaves_fd, name);
	if (r < 0)
		log_error("cannot remove the leaf %s: %s", name, strerror(-r));
	rescue_leave(session);
	for (Session **p = &keeper->sessions; *p; p = &(*p)->next)
		if (*p == session) {
			*p = session->next;
			break;
		}
	session_free(session);
}

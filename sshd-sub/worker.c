/* SPDX-License-Identifier: MIT */
/*
 * The loop. Only the connection is in libssh's event; everything else is in our own poll(), because libssh handles its
 * whole event inside every write, and callbacks for pipes would run nested in there. An idle connection sleeps in poll().
 *
 * After the connection was readable, libssh is called until it has nothing more, at most INNER_ROUNDS times: it reads
 * 4096 bytes a call.
 */
#include "sshd-sub/worker.h"
#include "shell/base/rate.h"
#include "sshd-sub/forwarding.h"
#include "sshd-sub/guard.h"
#include "sshd-sub/keepalive.h"
#include "sshd-sub/sandbox.h"
#include "sshd-sub/split.h"
#include "sshd-sub/window.h"
#include "sshd-sub/worker-auth.h"

#include <libssh/server.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/rand.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#define INNER_ROUNDS 64
#define PACKET_COST 32U /* of an empty one, when it is answered */
#define POLL_FIXED 2U
#define POLL_MAX (POLL_FIXED + 3U * KEEPER_CHANNELS_MAX)

typedef enum PollUse { USE_OUTPUT, USE_STDERR, USE_INPUT } PollUse;

typedef struct Polled {
	struct pollfd fds[POLL_MAX];
	struct {
		Channel *channel;
		PollUse use;
	} uses[POLL_MAX];
	size_t n;
	uint64_t deadline_usec;
} Polled;

static Worker worker;
static Auth auth;
static Polled polled;
static Keepalive keepalive;

_Noreturn static void worker_end(WireBye why, const char *text)
{
	uint8_t buffer[WIRE_TEXT_MAX + 16];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };
	size_t n = strlen(text);

	wire_put_bytes(&writer, text, n < WIRE_TEXT_MAX ? n : WIRE_TEXT_MAX);
	(void)!link_tell(&worker.link, WIRE_BYE, 0, why, &writer);
	/* the client, should it still be there, need not wait */
	(void)close(WORKER_CONNECTION_FD);
	/* what runs learns of its client's end by being hung up, not by its pipes: the monitor ends us when that is done */
	while (read(worker.link.fd, buffer, sizeof(buffer)) > 0)
		;
	_exit(0);
}

static void on_endless_write(void)
{
	worker_end(BYE_PROTOCOL, "the client takes no packets that could hold data");
}

/* libssh's texts for a client that just went; everything else is an error of the protocol. */
_Noreturn static void worker_end_by_libssh(void)
{
	static const char *const gone[] = { "disconnected", "Connection reset", "Received SSH_MSG_DISCONNECT" };
	const char *text = ssh_get_error(worker.session);

	for (size_t i = 0; i < ELEMENTSOF(gone); i++)
		if (!*text || strstr(text, gone[i]))
			worker_end(BYE_CLOSED, text);
	worker_end(BYE_PROTOCOL, text);
}

/*
 * libssh before 0.11 refuses no-more-sessions@openssh.com as a request that it does not know, and goes on; only its log
 * has the name. It says little at this level, and nothing for data.
 */
static void on_log(int priority, const char *function, const char *text, void *userdata)
{
	if (!strstr(text, "no-more-sessions@openssh.com"))
		return;
	worker.no_more_sessions = true;
	(void)ssh_set_log_level(SSH_LOG_NOLOG);
}

static void worker_enter(void)
{
	static struct ssh_server_callbacks_struct callbacks = {
		.userdata = &worker,
		.channel_open_request_session_function = channel_on_open,
	};

	auth_end(&auth);
	(void)ssh_set_log_callback(on_log);
	(void)ssh_set_log_level(SSH_LOG_PROTOCOL);
	ssh_callbacks_init(&callbacks);
	(void)ssh_set_server_callbacks(worker.session, &callbacks);
	ssh_set_message_callback(worker.session, forwarding_on_message, &worker);
	worker.no_terminal = auth.no_terminal;
	worker.entered = true;
}

static void tcp_set(int option, int value)
{
	(void)setsockopt(WORKER_CONNECTION_FD, IPPROTO_TCP, option, &value, sizeof(value));
}

/*
 * A client that has sent one small packet and has another waits for the ACK of the first (Nagle), and our kernel would
 * delay that by 40 ms. Where we answer, the answer carries the ACK; only after input that we do not answer at once (the
 * client's half of the key exchange) is it sent by itself. An ACK for every segment, the kernel's way at the start of a
 * connection, would be one packet more for each of the ten of a login.
 */
static struct ssh_counter_struct traffic;

static void acks_with_answers(void)
{
	ssh_set_counters(worker.session, NULL, &traffic);
	tcp_set(TCP_QUICKACK, 0);
}

static void ack_if_unanswered(uint64_t sent)
{
	if (!worker.entered && traffic.out_bytes == sent)
		tcp_set(TCP_QUICKACK, 2); /* what is due goes now, later ones wait again: tcp(7) leaves the 2 out */
}

/*
 * libssh sends every packet by itself. Around a round that has several small ones to send - those of a login, the last
 * output of a command with its status, EOF and close - the kernel is told to wait, so that they make one segment.
 */
static void cork(bool on)
{
	static bool corked;

	if (corked != on)
		tcp_set(TCP_CORK, on);
	corked = on;
}

/*
 * What libssh could not send yet has no bound: a client that asks and asks and never reads the answers would fill our
 * memory. While something is left to send, only so much is read.
 */
static bool client_must_read(bool pending)
{
	static uint64_t since;
	static bool was_pending;
	uint64_t came = traffic.in_bytes + traffic.in_packets * PACKET_COST;

	if (pending && !was_pending)
		since = came;
	was_pending = pending;
	return pending && came - since > WORKER_UNANSWERED_MAX;
}

/* Whoever lets its processes' input pile up pays with the one that has most of it. */
static void bound_input(void)
{
	Channel *most = NULL;
	size_t total = 0;

	for (size_t i = 0; i < worker.n_channels; i++) {
		Channel *channel = worker.channels[i];

		if (channel->state == CHANNEL_EXITED)
			continue; /* on its way out already */
		total += pump_held(channel);
		if (!most || pump_held(channel) > pump_held(most))
			most = channel;
	}
	if (total > WORKER_INPUT_MAX)
		channel_overflow(most);
}

static bool any_channel_ends(void)
{
	for (size_t i = 0; i < worker.n_channels; i++)
		if (worker.channels[i]->state == CHANNEL_EXITED)
			return true;
	return false;
}

static void poll_add(int fd, short events, Channel *channel, PollUse use)
{
	polled.fds[polled.n] = (struct pollfd){ .fd = fd, .events = events };
	polled.uses[polled.n].channel = channel;
	polled.uses[polled.n].use = use;
	polled.n++;
}

static void poll_prepare(void)
{
	int flags = ssh_get_poll_flags(worker.session);
	bool may_write = !(flags & SSH_WRITE_PENDING);
	bool may_read = !client_must_read(!may_write);

	polled.n = 0;
	polled.deadline_usec = UINT64_MAX;
	poll_add(WORKER_CONNECTION_FD,
		(short)((flags & SSH_READ_PENDING && may_read ? POLLIN : 0) |
			(flags & SSH_WRITE_PENDING ? POLLOUT : 0)),
		NULL, 0);
	poll_add(worker.link.fd, POLLIN, NULL, 0);

	for (size_t i = 0; i < worker.n_channels; i++) {
		Channel *channel = worker.channels[i];
		uint64_t deadline_usec;

		if (channel->in_fd >= 0 && channel->in_blocked)
			poll_add(channel->in_fd, POLLOUT, channel, USE_INPUT);
		else if (channel->forwards && channel->in_fd >= 0 && channel->out_fd < 0)
			poll_add(channel->in_fd, 0, channel, USE_INPUT); /* half-open: has it broken? */
		if (!may_write)
			continue;
		if (pump_wants_output(channel, false))
			poll_add(channel->out_fd, POLLIN, channel, USE_OUTPUT);
		if (pump_wants_output(channel, true))
			poll_add(channel->err_fd, POLLIN, channel, USE_STDERR);
		deadline_usec = channel_deadline(channel);
		if (deadline_usec < polled.deadline_usec)
			polled.deadline_usec = deadline_usec;
	}
}

static int poll_timeout(void)
{
	uint64_t now_usec;

	if (worker.link.kept)
		return 0;
	if (polled.deadline_usec == UINT64_MAX)
		return worker.entered ? keepalive_timeout(&keepalive) : -1;
	now_usec = clock_monotonic_usec();
	return polled.deadline_usec <= now_usec ? 0 : (int)((polled.deadline_usec - now_usec) / 1000U) + 1;
}

static void serve_channels(void)
{
	for (size_t i = POLL_FIXED; i < polled.n; i++) {
		Channel *channel = polled.uses[i].channel;

		if (!polled.fds[i].revents) {
			if (channel->state == CHANNEL_EXITED && polled.uses[i].use == USE_OUTPUT)
				channel->out_dry = true;
			if (channel->state == CHANNEL_EXITED && polled.uses[i].use == USE_STDERR)
				channel->err_dry = true;
			continue;
		}
		switch (polled.uses[i].use) {
		case USE_OUTPUT:
			pump_output(channel, false);
			break;
		case USE_STDERR:
			pump_output(channel, true);
			break;
		case USE_INPUT:
			if (channel->forwards && polled.fds[i].revents & (POLLERR | POLLHUP))
				forwarding_broke(channel);
			else if (channel->in_fd >= 0)
				pump_input(channel);
			break;
		}
	}
}

/* Before login the grace time bounds everything. */
static void serve_keepalive(bool idle)
{
	if (!worker.entered)
		return;
	switch (keepalive_step(&keepalive, idle, traffic.in_packets)) {
	case KEEPALIVE_ASK:
		if (ssh_send_keepalive(worker.session) != SSH_OK)
			worker_end_by_libssh();
		break;
	case KEEPALIVE_GONE:
		worker_end(BYE_CLOSED, "the client does not answer any more");
	case KEEPALIVE_WAIT:
		break;
	}
}

/* Keys are about to change for the first time, and requests may follow in the same segment. */
static void on_exchange(void)
{
	if (!worker.entered)
		auth_listen();
}

static void serve_login(void)
{
	int r = auth_serve(&auth);

	if (r > 0)
		worker_enter();
	else if (r == -EPERM) {
		(void)ssh_session_set_disconnect_message(worker.session, "Too many authentication failures");
		ssh_disconnect(worker.session);
		worker_end(BYE_TRIES, "");
	} else if (r == -EPROTO)
		worker_end(BYE_PROTOCOL, "a request before login that is none of ours");
	else if (r < 0)
		_exit(1);
}

static void serve_connection(bool *exchanged)
{
	uint64_t sent = traffic.out_bytes;
	/* that only the way out is free must not let in more than goes */
	int rounds = polled.fds[0].events & POLLIN ? INNER_ROUNDS : 1;

	for (int round = 0; round < rounds; round++) {
		int r = ssh_event_dopoll(worker.event, 0);

		if (r == SSH_ERROR)
			worker_end_by_libssh();
		if (r == SSH_AGAIN)
			break;
		if (!*exchanged) {
			r = ssh_handle_key_exchange(worker.session);
			if (r == SSH_ERROR)
				worker_end_by_libssh();
			*exchanged = r == SSH_OK;
		}
		if (*exchanged && !worker.entered)
			serve_login();
	}
	ack_if_unanswered(sent);
	if (!ssh_is_connected(worker.session) || ssh_get_status(worker.session) & (SSH_CLOSED | SSH_CLOSED_ERROR))
		worker_end_by_libssh();
}

static void serve_link(void)
{
	for (;;) {
		_cleanup_(link_message_freep) LinkMessage *message = NULL;
		Channel *channel;
		int r = link_next(&worker.link, &message);

		if (r == 0)
			return;
		if (r < 0)
			_exit(1); /* without its monitor a worker is nothing; the keeper learns from the monitor's end */
		if (message->header.type == WIRE_CONNECTED) {
			forwarding_answered(&worker, message);
			continue;
		}
		channel = channel_find(&worker, message->header.number);
		if (!channel || channel->departed) {
			departures_hear(&worker.departures, message);
			continue;
		}
		switch (message->header.type) {
		case WIRE_STARTED:
			channel_started(channel, message);
			break;
		case WIRE_REFUSED:
			channel_refused(channel, message);
			break;
		case WIRE_EXITED:
			channel_exited(channel, message);
			break;
		default:
			_exit(1);
		}
	}
}

static void step_channels(void)
{
	uint64_t now_usec = worker.n_channels ? clock_monotonic_usec() : 0;

	bound_input();
	for (size_t i = 0; i < worker.n_channels;) {
		Channel *channel = worker.channels[i];

		window_widen(channel);
		if (!(channel->forwards ? forwarding_step(channel) : channel_step(channel, now_usec))) {
			i++;
			continue;
		}
		channel_discard(worker.channels[i]);
		worker.channels[i] = worker.channels[--worker.n_channels];
	}
}

/* Before anybody can see a difference: the random generator notices that it was forked, and seeds itself again. */
static void warm_up(void)
{
	uint8_t byte;

	(void)RAND_bytes(&byte, sizeof(byte));
}

static void wait_for_connection(void)
{
	static uint8_t payload[WIRE_PAYLOAD_MAX + 1];
	int fds[WIRE_FDS_MAX];
	WireHeader header;
	size_t n_fds;

	if (wire_receive(WORKER_HANDOFF_FD, &header, payload, fds, &n_fds, 0) <= 0)
		_exit(0); /* the listener is gone, or found this one of no use */
	if (header.type != WIRE_CONNECTION || n_fds != 1 || fds[0] != WORKER_CONNECTION_FD)
		_exit(1);
	(void)close(WORKER_HANDOFF_FD);
	(void)prctl(PR_SET_NAME, "creel-sshd", 0, 0, 0);
}

_Noreturn void worker_run(ssh_session session, int landlock_fd, const Options *options, const char *banner)
{
	bool exchanged = false;
	sigset_t none;
	int r;

	(void)prctl(PR_SET_NAME, "creel-spare", 0, 0, 0);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	link_init(&worker.link, WORKER_LINK_FD);
	worker.session = session;
	worker.event = ssh_event_new();
	if (!worker.event || sandbox_apply(landlock_fd) < 0)
		_exit(1); /* the listener sees that its spare ended, and what that means */
	/* what remains: the link, one connection, standard descriptors, and the calls of sandbox.c's table */

	split_enter(SPLIT_WORKER, &worker.link, on_exchange);
	auth_begin(&auth, session, &worker.link, banner);
	guard_init(on_endless_write);
	warm_up();
	wait_for_connection();
	keepalive_begin(&keepalive, options);
	acks_with_answers();
	r = ssh_handle_key_exchange(session);
	if (r == SSH_ERROR || ssh_event_add_session(worker.event, session) != SSH_OK)
		worker_end_by_libssh();

	for (;;) {
		poll_prepare();
		r = poll(polled.fds, (nfds_t)polled.n, poll_timeout());
		if (r < 0 && errno != EINTR)
			worker_end(BYE_FAILED, "poll");
		if (r < 0)
			continue;
		serve_keepalive(r == 0);
		if (polled.fds[1].revents || worker.link.kept)
			serve_link();
		cork(!worker.entered || any_channel_ends());
		serve_channels();
		if (polled.fds[0].revents)
			serve_connection(&exchanged);
		step_channels();
		cork(false);
		if (worker.broken)
			worker_end(BYE_PROTOCOL, "a bound was broken");
	}
}

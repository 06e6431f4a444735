/* SPDX-License-Identifier: MIT */
/*
 * A direct-tcpip channel is a Channel (worker.h) that is born running, with one socket for both directions, which the
 * keeper had connected as the agent. Each direction ends by itself: the client's EOF becomes shutdown(2), the server's an
 * EOF of the channel; when both have ended the channel is closed.
 *
 * The request waits for its answer beside the loop (kept.h): a listener whose queue is full holds up nobody but those who
 * want to reach it. So many are under way in the keeper as it takes, the others queue here; together with the open channels
 * they are as many as a connection may have.
 *
 * libssh's refusal of a channel has no text. The reason goes before it in a debug message, which `ssh -v` shows.
 */
#define SSH_SUPPRESS_DEPRECATED /* the message interface is the only one for direct-tcpip before libssh 0.12 */
#include "sshd-sub/forwarding.h"
#include "sshd-sub/kept.h"

#include <string.h>
#include <fcntl.h>

struct Opening {
	struct Opening *next; /* in order of arrival */
	ssh_message message;
	uint32_t number;
	bool asked; /* the keeper is connecting it */
};

static int refuse(ssh_session session, const char *why)
{
	/* a client that cannot take the message is gone, which the loop will see */
	(void)ssh_send_debug(session, why, 0);
	return 1;
}

static int ask_monitor(Worker *worker, const Opening *opening)
{
	uint8_t buffer[KEEPER_HOST_MAX + 64];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };

	wire_put_string(&writer, ssh_message_channel_request_open_destination(opening->message));
	wire_put_u32(&writer, (uint32_t)ssh_message_channel_request_open_destination_port(opening->message));
	return link_tell(&worker->link, WIRE_CONNECT, opening->number, 0, &writer);
}

static void ask_next(Worker *worker)
{
	size_t asked = 0;

	for (Opening *opening = worker->openings; opening && asked < KEEPER_FORWARDS_MAX;
		opening = opening->next, asked++) {
		if (opening->asked)
			continue;
		opening->asked = true;
		/* while its callback is still on the stack the message is there, and not yet known to be sound */
		if (ask_monitor(worker, opening) < 0)
			worker->broken = true;
	}
}

static int forwarding_open(Worker *worker, ssh_message message)
{
	const char *host = ssh_message_channel_request_open_destination(message);
	int port = ssh_message_channel_request_open_destination_port(message);
	Opening *opening, **end = &worker->openings;

	if (!host || strlen(host) > KEEPER_HOST_MAX || port < 1 || port > UINT16_MAX)
		return refuse(worker->session, "creel: no such place can be forwarded to");
	if (worker->n_channels + worker->n_openings >= ELEMENTSOF(worker->channels))
		return refuse(worker->session, "creel: too many channels on this connection");
	opening = calloc(1, sizeof(*opening));
	if (!opening || kept_add(message) < 0) {
		free(opening);
		return refuse(worker->session, "creel: out of memory");
	}
	opening->message = message;
	opening->number = ++worker->last_number;
	while (*end)
		end = &(*end)->next;
	*end = opening;
	worker->n_openings++;
	ask_next(worker);
	return 0;
}

/* Takes `fd`. Returns 0 or a negative errno. */
static int forwarding_accept(Worker *worker, ssh_message message, int fd)
{
	_cleanup_close_ int taken_fd = fd;
	ssh_channel ssh;

	if (fcntl(taken_fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	ssh = ssh_message_channel_request_open_reply_accept(message);
	return ssh ? channel_adopt_socket(worker, ssh, TAKE_FD(taken_fd)) : -EPROTO;
}

static int forwarding_refuse(Worker *worker, ssh_message message, const LinkMessage *answer)
{
	WireReader reader = { .at = answer->payload, .left = answer->header.length };
	char text[WIRE_TEXT_MAX + 64];

	(void)snprintf(text, sizeof(text), "creel: forwarding refused: %s", wire_get_string(&reader, WIRE_TEXT_MAX));
	(void)refuse(worker->session, text);
	return ssh_message_reply_default(message) == SSH_OK ? 0 : -EPROTO;
}

void forwarding_answered(Worker *worker, LinkMessage *answer)
{
	Opening **at = &worker->openings, *opening;
	int r = -EPROTO;

	while (*at && (*at)->number != answer->header.number)
		at = &(*at)->next;
	opening = *at;
	if (!opening) {
		worker->broken = true;
		return;
	}
	*at = opening->next;
	worker->n_openings--;
	if (kept_is_sound(opening->message))
		r = answer->header.value == 1 && answer->n_fds == 1
			    ? forwarding_accept(worker, opening->message, TAKE_FD(answer->fds[0]))
			    : forwarding_refuse(worker, opening->message, answer);
	if (r < 0)
		worker->broken = true;
	kept_free(opening->message);
	free(opening);
	ask_next(worker);
}

int forwarding_on_message(ssh_session session, ssh_message message, void *userdata)
{
	int type = ssh_message_type(message), subtype = ssh_message_subtype(message);

	if (type == SSH_REQUEST_CHANNEL_OPEN && subtype == SSH_CHANNEL_DIRECT_TCPIP)
		return forwarding_open(userdata, message);
	if (type == SSH_REQUEST_CHANNEL_OPEN)
		return refuse(session,
			"creel: no such kind of channel here: sessions, and local forwarding to loopback ports");
	if (type == SSH_REQUEST_GLOBAL && subtype == SSH_GLOBAL_REQUEST_TCPIP_FORWARD)
		return refuse(session, "creel: remote forwarding is not possible here");
	if (type == SSH_REQUEST_CHANNEL && subtype == SSH_CHANNEL_REQUEST_X11)
		return refuse(session, "creel: X11 forwarding is not possible here");
	return 1;
}

void forwarding_broke(Channel *channel)
{
	pump_close_input(channel);
}

bool forwarding_step(Channel *channel)
{
	if (channel->closed)
		return true;
	if (channel->client_eof && channel->in_fd >= 0 && !channel->staged && ssh_channel_poll(channel->ssh, 0) <= 0)
		pump_close_input(channel);
	if (channel->out_fd >= 0 || channel->pending)
		return false;
	if (!channel->eof_sent) {
		(void)ssh_channel_send_eof(channel->ssh);
		channel->eof_sent = true;
	}
	if (channel->in_fd >= 0)
		return false;
	(void)ssh_channel_close(channel->ssh);
	return true;
}

/* SPDX-License-Identifier: MIT */
/*
 * A direct-tcpip channel is a Channel (worker.h) that is born running, with one socket for both directions, which the
 * keeper had connected as the agent. Each direction ends by itself: the client's EOF becomes shutdown(2), the server's an
 * EOF of the channel; when both have ended the channel is closed.
 *
 * libssh frees the message of an open request when its callback returns, so the answer must be known by then: this is the
 * one place where a worker waits for another process once its client is in. Loopback answers at once; a listener whose
 * queue is full holds up the other channels of its own agent's connection, and for CONNECT_TIMEOUT_SEC of the keeper at
 * most.
 *
 * libssh's refusal of a channel has no text. The reason goes before it in a debug message, which `ssh -v` shows.
 */
#define SSH_SUPPRESS_DEPRECATED /* the message interface is the only one for direct-tcpip before libssh 0.12 */
#include "sshd-sub/forwarding.h"

#include <string.h>
#include <fcntl.h>

static int refuse(ssh_session session, const char *why)
{
	/* a client that cannot take the message is gone, which the loop will see */
	(void)ssh_send_debug(session, why, 0);
	return 1;
}

/* Returns 0 with the socket; 1 with why not; or a negative errno: the monitor is gone. */
static int ask_monitor(Worker *worker, const char *host, int port, int *ret_fd, char ret_why[static WIRE_TEXT_MAX + 1])
{
	uint8_t buffer[KEEPER_HOST_MAX + 64];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };
	_cleanup_(link_message_freep) LinkMessage *answer = NULL;
	WireReader reader;
	int r;

	wire_put_string(&writer, host);
	wire_put_u32(&writer, (uint32_t)port);
	r = link_ask(&worker->link, WIRE_CONNECT, &writer, WIRE_CONNECTED, &answer);
	if (r < 0)
		return r;
	if (answer->header.value == 1 && answer->n_fds == 1) {
		*ret_fd = TAKE_FD(answer->fds[0]);
		return 0;
	}
	reader = (WireReader){ .at = answer->payload, .left = answer->header.length };
	(void)snprintf(ret_why, WIRE_TEXT_MAX + 1, "%s", wire_get_string(&reader, WIRE_TEXT_MAX));
	return 1;
}

static int forwarding_open(Worker *worker, ssh_message message)
{
	const char *host = ssh_message_channel_request_open_destination(message);
	int port = ssh_message_channel_request_open_destination_port(message);
	char why[WIRE_TEXT_MAX + 1], text[WIRE_TEXT_MAX + 64];
	_cleanup_close_ int fd = -EBADF;
	ssh_channel ssh;
	int r;

	if (!host || strlen(host) > KEEPER_HOST_MAX || port < 1 || port > UINT16_MAX)
		return refuse(worker->session, "creel: no such place can be forwarded to");
	if (worker->n_channels == ELEMENTSOF(worker->channels))
		return refuse(worker->session, "creel: too many channels on this connection");
	r = ask_monitor(worker, host, port, &fd, why);
	if (r < 0 || (r == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) < 0)) {
		worker->broken = true;
		return 1;
	}
	if (r > 0) {
		(void)snprintf(text, sizeof(text), "creel: forwarding refused: %s", why);
		return refuse(worker->session, text);
	}
	ssh = ssh_message_channel_request_open_reply_accept(message);
	if (!ssh) {
		worker->broken = true;
		return 0;
	}
	if (channel_adopt_socket(worker, ssh, TAKE_FD(fd)) < 0)
		worker->broken = true;
	return 0;
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

/* SPDX-License-Identifier: MIT */
/*
 * Local forwarding: the worker asks for one connection and waits; the keeper judges it and has it made. So there is never
 * more than one question of a connection under way, and a worker that asks twice is no worker of ours.
 */
#include "shell/base/log.h"
#include "sshd-sub/monitor.h"

#include <stdio.h>
#include <string.h>

static int forward_refuse(Connection *connection, const char *why)
{
	uint8_t buffer[WIRE_TEXT_MAX + 16];
	WireWriter payload = { .data = buffer, .room = sizeof(buffer) };
	size_t n = strlen(why);

	wire_put_bytes(&payload, why, n < WIRE_TEXT_MAX ? n : WIRE_TEXT_MAX);
	return connection_tell(connection, WIRE_CONNECTED, 0, 0, &payload, NULL, 0);
}

static int on_connect(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Connection *connection = userdata;
	int fd, r;

	connection->forward_slot = sd_bus_slot_unref(connection->forward_slot);
	if (sd_bus_message_is_method_error(answer, NULL)) {
		const sd_bus_error *failure = sd_bus_message_get_error(answer);

		r = forward_refuse(connection, failure->message ? failure->message : failure->name);
	} else {
		r = sd_bus_message_read(answer, "h", &fd); /* stays the message's */
		if (r >= 0)
			r = connection_tell(connection, WIRE_CONNECTED, 0, 1, NULL, &fd, 1);
	}
	if (r < 0)
		connection_end(connection, NULL);
	return 1;
}

int forward_open(Connection *connection, WireReader *reader)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	const char *host = wire_get_string(reader, KEEPER_HOST_MAX);
	uint32_t port = wire_get_u32(reader);
	int r;

	if (!wire_done(reader) || connection->forward_slot)
		return -EBADMSG;
	if (!connection->session)
		return forward_refuse(connection, "this login's session is gone, log in again");
	r = keeper_call_new(connection->keeper, "Connect", &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "ssu", connection->session, host, port);
	if (r >= 0)
		r = keeper_call(connection->keeper, call, on_connect, connection, &connection->forward_slot);
	if (r == -ENOTCONN)
		return forward_refuse(connection, "the agent's keeper is restarting, try again");
	if (r == -EINVAL)
		return forward_refuse(connection, "the name of the host is not UTF-8");
	return r < 0 ? r : 0;
}

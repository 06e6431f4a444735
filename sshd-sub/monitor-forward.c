/* SPDX-License-Identifier: MIT */
/*
 * Local forwarding: the worker asks for a connection; the keeper judges it and has it made. A worker of ours knows how many
 * may be under way; one that asks for more is none.
 */
#include "shell/base/log.h"
#include "sshd-sub/monitor.h"

#include <stdio.h>
#include <string.h>

struct Reach {
	struct Reach *next;
	Connection *connection;
	uint32_t number;
	sd_bus_slot *slot; /* of Connect */
};

static void reach_free(Reach *reach)
{
	for (Reach **r = &reach->connection->reaches; *r; r = &(*r)->next)
		if (*r == reach) {
			*r = reach->next;
			break;
		}
	sd_bus_slot_unref(reach->slot);
	free(reach);
}

void forward_free_all(Connection *connection)
{
	while (connection->reaches)
		reach_free(connection->reaches);
}

static int on_connect(sd_bus_message *answer, void *userdata, sd_bus_error *error)
{
	Reach *reach = userdata;
	Connection *connection = reach->connection;
	uint32_t number = reach->number;
	int fd, r;

	reach_free(reach);
	if (sd_bus_message_is_method_error(answer, NULL)) {
		const sd_bus_error *failure = sd_bus_message_get_error(answer);

		r = connection_refuse(
			connection, WIRE_CONNECTED, number, failure->message ? failure->message : failure->name);
	} else {
		r = sd_bus_message_read(answer, "h", &fd); /* stays the message's */
		if (r >= 0)
			r = connection_tell(connection, WIRE_CONNECTED, number, 1, NULL, &fd, 1);
	}
	if (r < 0)
		connection_end(connection, NULL);
	return 1;
}

static bool may_ask(const Connection *connection, uint32_t number)
{
	unsigned int n = 0;

	for (const Reach *reach = connection->reaches; reach; reach = reach->next)
		if (reach->number == number || ++n >= KEEPER_FORWARDS_MAX)
			return false;
	return true;
}

int forward_open(Connection *connection, uint32_t number, WireReader *reader)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *call = NULL;
	const char *host = wire_get_string(reader, KEEPER_HOST_MAX);
	uint32_t port = wire_get_u32(reader);
	Reach *reach;
	int r;

	if (!wire_done(reader) || !may_ask(connection, number))
		return -EBADMSG;
	if (!connection->session)
		return connection_refuse(
			connection, WIRE_CONNECTED, number, "this login's session is gone, log in again");
	reach = calloc(1, sizeof(*reach));
	if (!reach)
		return -ENOMEM;
	*reach = (Reach){ .connection = connection, .number = number, .next = connection->reaches };
	connection->reaches = reach;
	r = keeper_call_new(connection->keeper, "Connect", &call);
	if (r >= 0)
		r = sd_bus_message_append(call, "ssu", connection->session, host, port);
	if (r >= 0)
		r = keeper_call(connection->keeper, call, on_connect, reach, &reach->slot);
	if (r >= 0)
		return 0;
	reach_free(reach);
	if (r == -ENOTCONN)
		return connection_refuse(
			connection, WIRE_CONNECTED, number, "the agent's keeper is restarting, try again");
	if (r == -EINVAL)
		return connection_refuse(connection, WIRE_CONNECTED, number, "the name of the host is not UTF-8");
	return r;
}

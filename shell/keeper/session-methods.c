/* SPDX-License-Identifier: MIT */
/* The rows Sessions and End: what the operator sees and does about logins. */
#include "shell/keeper/keeper.h"
#include "shell/base/log.h"
#include "shell/base/utf8.h"
#include "shell/bus/bus.h"

#include <string.h>

/* D-Bus carries UTF-8 alone: any other byte of a command becomes a question mark. */
static const char *shown(const char *command, char buffer[static KEEPER_SHOWN_MAX + 1])
{
	size_t n = strlen(command), at = 0;

	while (at < n) {
		size_t length = utf8_length((const unsigned char *)command + at, n - at);

		if (at + (length ? length : 1) > KEEPER_SHOWN_MAX)
			break;
		if (length)
			memcpy(buffer + at, command + at, length);
		else
			buffer[at] = '?';
		at += length ? length : 1;
	}
	buffer[at] = '\0';
	return buffer;
}

static int append_channels(sd_bus_message *reply, const Session *session)
{
	char command[KEEPER_SHOWN_MAX + 1];
	int r = sd_bus_message_open_container(reply, 'a', "(uusst)");

	for (const Channel *channel = session->channels; channel && r >= 0; channel = channel->next)
		if (channel->state == CHANNEL_RUNNING)
			r = sd_bus_message_append(reply, "(uusst)", channel->number, (uint32_t)channel->pid,
				channel->kind, shown(channel->command, command), channel->started_usec);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

static int append_session(sd_bus_message *reply, const Session *session)
{
	int r = sd_bus_message_open_container(reply, 'r', "sssstba(uusst)");

	if (r >= 0)
		r = sd_bus_message_append(reply, "sssstb", session->id, session->door ? session->door : "ssh",
			session->peer, session->key, session->since_usec, session->over);
	if (r >= 0)
		r = append_channels(reply, session);
	return r < 0 ? r : sd_bus_message_close_container(reply);
}

int method_sessions(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const Keeper *keeper = userdata;
	int r;

	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sssstba(uusst))");
	for (const Session *session = keeper->sessions; session && r >= 0; session = session->next)
		r = append_session(reply, session);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int method_end(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	Session *session;
	const char *id;
	int r;

	r = sd_bus_message_read(message, "s", &id);
	if (r < 0)
		return r;
	session = session_find(userdata, id);
	if (!session)
		return sd_bus_error_set(error, KEEPER_ERROR_NO_SESSION, "no such session");
	r = session_kill(session);
	return r < 0 ? r : sd_bus_reply_method_return(message, NULL);
}

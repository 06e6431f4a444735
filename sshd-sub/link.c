/* SPDX-License-Identifier: MIT */
#include "sshd-sub/link.h"

#include <string.h>
#include <sys/socket.h>

/* A monitor answers what was asked and reports exits: two messages for each of 64 channels are the most that can wait. */
#define LINK_KEPT_MAX (4U * KEEPER_CHANNELS_MAX)

void link_init(Link *link, int fd)
{
	*link = (Link){ .fd = fd };
	link->kept_end = &link->kept;
}

LinkMessage *link_message_free(LinkMessage *message)
{
	if (message)
		for (size_t i = 0; i < message->n_fds; i++)
			fd_close(message->fds[i]);
	free(message);
	return NULL;
}

/* Returns 1, 0 (none, with MSG_DONTWAIT) or a negative errno. */
static int link_receive(Link *link, int flags, LinkMessage **ret)
{
	static uint8_t payload[WIRE_PAYLOAD_MAX + 1];
	LinkMessage *message;
	WireHeader header;
	int fds[WIRE_FDS_MAX];
	size_t n_fds = 0;
	int r;

	r = wire_receive(link->fd, &header, payload, fds, &n_fds, flags);
	if (r == -EAGAIN)
		return 0;
	if (r == 0)
		return -ECONNRESET;
	if (r < 0)
		return r;
	message = malloc(sizeof(*message) + header.length + 1);
	if (!message) {
		for (size_t i = 0; i < n_fds; i++)
			fd_close(fds[i]);
		return -ENOMEM;
	}
	*message = (LinkMessage){ .header = header, .n_fds = n_fds };
	memcpy(message->fds, fds, n_fds * sizeof(int));
	memcpy(message->payload, payload, header.length + 1);
	*ret = message;
	return 1;
}

int link_tell(Link *link, WireType type, uint32_t number, uint32_t value, const WireWriter *payload)
{
	WireHeader header = { .type = type, .number = number, .value = value };

	if (payload && payload->failed)
		return -EMSGSIZE;
	header.length = payload ? (uint32_t)payload->used : 0;
	return wire_send(link->fd, &header, payload ? payload->data : NULL, NULL, 0, 0);
}

int link_ask(Link *link, WireType type, const WireWriter *payload, WireType answer, LinkMessage **ret)
{
	unsigned int kept = 0;
	int r;

	r = link_tell(link, type, 0, 0, payload);
	while (!r) {
		LinkMessage *message = NULL;

		r = link_receive(link, 0, &message);
		if (r < 0)
			return r;
		if (message->header.type == answer) {
			*ret = message;
			return 0;
		}
		if (++kept > LINK_KEPT_MAX) {
			link_message_free(message);
			return -ENOBUFS;
		}
		*link->kept_end = message;
		link->kept_end = &message->next;
		r = 0;
	}
	return r;
}

int link_next(Link *link, LinkMessage **ret)
{
	LinkMessage *message = link->kept;

	if (!message)
		return link_receive(link, MSG_DONTWAIT, ret);
	link->kept = message->next;
	if (!link->kept)
		link->kept_end = &link->kept;
	message->next = NULL;
	*ret = message;
	return 1;
}

/* SPDX-License-Identifier: MIT */
#include "sshd-sub/departure.h"

#include <string.h>

static void departures_remove(Departures *departures, size_t i)
{
	for (size_t k = 0; k < WIRE_FDS_MAX; k++)
		fd_close(departures->all[i].fds[k]);
	departures->n--;
	memmove(&departures->all[i], &departures->all[i + 1], (departures->n - i) * sizeof(Departure));
}

void departures_add(Departures *departures, uint32_t number, int *const fds[static WIRE_FDS_MAX])
{
	Departure *departure;

	if (departures->n == ELEMENTSOF(departures->all))
		departures_remove(departures, 0); /* a client that opens and closes faster than the keeper answers */
	departure = &departures->all[departures->n++];
	departure->number = number;
	for (size_t k = 0; k < WIRE_FDS_MAX; k++)
		departure->fds[k] = TAKE_FD(*fds[k]);
}

void departures_hear(Departures *departures, LinkMessage *message)
{
	size_t i = 0;

	while (i < departures->n && departures->all[i].number != message->header.number)
		i++;
	if (i == departures->n)
		return;
	if (message->header.type == WIRE_CLOSED)
		departures_remove(departures, i);
	else if (message->header.type == WIRE_STARTED) /* it was sent before the monitor heard of the close */
		for (size_t k = 0; k < message->n_fds; k++) {
			fd_close(departures->all[i].fds[k]);
			departures->all[i].fds[k] = TAKE_FD(message->fds[k]);
		}
}

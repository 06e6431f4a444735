/* SPDX-License-Identifier: MIT */
/*
 * Channels that end before their command: the client closed them, or sent more ahead than is held. The keeper hangs the command
 * up; until it has, its pipes and its terminal stay open here: a command that saw its input end first could take that for a
 * proper end, and go on.
 */
#pragma once

#include "sshd-sub/link.h"
#include "shell/bus/bus.h"

typedef struct Departure {
	uint32_t number; /* of the channel */
	int fds[WIRE_FDS_MAX];
} Departure;

typedef struct Departures {
	Departure all[KEEPER_CHANNELS_MAX]; /* in order of arrival */
	size_t n;
} Departures;

/* Takes the descriptors of `fds`, and sets them to -EBADF. When there is no room the oldest departure ends. */
void departures_add(Departures *departures, uint32_t number, int *const fds[static WIRE_FDS_MAX]);

/* What the monitor says about a channel that is not there any more. Takes its descriptors. */
void departures_hear(Departures *departures, LinkMessage *message);

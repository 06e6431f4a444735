/* SPDX-License-Identifier: MIT */
/*
 * Is a silent client still there? It is asked after each interval without a packet from it, by a request that every SSH
 * client must answer, if only with "no"; after some that it did not answer it is gone.
 *
 * The clock is read when the loop was idle, and every so many rounds: bulk data pays nothing for it.
 */
#pragma once

#include "sshd-sub/options.h"

typedef enum KeepaliveStep {
	KEEPALIVE_WAIT, /* nothing to do */
	KEEPALIVE_ASK,  /* send a request now */
	KEEPALIVE_GONE, /* the client is gone */
} KeepaliveStep;

typedef struct Keepalive {
	uint64_t interval_usec; /* 0: never ask */
	unsigned int most, asked, rounds;
	uint64_t packets;  /* from the client, when we last looked */
	uint64_t due_usec; /* CLOCK_MONOTONIC; 0: not begun */
} Keepalive;

void keepalive_begin(Keepalive *keepalive, const Options *options);

/* How long poll(2) may sleep, in milliseconds, when nothing else is due; -1: for ever. */
int keepalive_timeout(const Keepalive *keepalive);

/* Once a round of the loop. `idle`: poll(2) timed out. `packets`: all that ever came from the client. */
KeepaliveStep keepalive_step(Keepalive *keepalive, bool idle, uint64_t packets);
/* The same at a given time. */
KeepaliveStep keepalive_step_at(Keepalive *keepalive, uint64_t now_usec, uint64_t packets);

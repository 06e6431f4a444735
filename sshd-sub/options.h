/* SPDX-License-Identifier: MIT */
/* What the command line says; read once in main(), constant afterwards. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct Options {
	const char *key_path;         /* host key file; NULL: the systemd credential */
	const char *keepers;          /* folder with UID/keeper.sock; NULL: KEEPER_SOCKET_FORMAT */
	uint64_t grace_usec;          /* to log in */
	unsigned int unauthenticated; /* connections that have not logged in, at a time */
	uint64_t keepalive_usec;      /* a client that was silent for so long is asked whether it is there; 0: never */
	unsigned int keepalives;      /* so many unanswered: it is gone */
	uint64_t rekey_bytes;         /* new keys after so many; 0: when the cipher needs them */
	const char *banner_path;      /* a text for whoever begins to log in, NULL: none */
	bool older_clients;           /* offer what they need: see offer.c */
	bool monitor;                 /* be the monitor; given by the listener only */
	uint16_t port;                /* to listen on, loopback; 0: sockets come from systemd */
} Options;

/* SPDX-License-Identifier: MIT */
/* Does a server on this machine answer? One question, bounded in time. */
#pragma once

#include "shell/jobs/listeners.h"

typedef enum ProbeAnswer {
	PROBE_OK,
	PROBE_CLOSED,  /* nobody takes the connection */
	PROBE_SILENT,  /* it was taken, and no answer came in time */
	PROBE_STATUS,  /* HTTP, with a status of 400 or above */
	PROBE_OTHER,   /* an answer that is no HTTP */
	PROBE_NETWORK, /* the kernel's errno */
} ProbeAnswer;

typedef struct Probe {
	ProbeAnswer answer;
	unsigned int status; /* of HTTP; 0: none */
	int error;           /* negative errno, with PROBE_NETWORK */
} Probe;

/* A connection to where `at` listens, by loopback where that is possible; with `path` also GET. At most `timeout_msec`. */
Probe probe_ask(const Listener *at, const char *path, int timeout_msec);

/* A path that may stand in a request: it begins with /, and has neither blanks nor control characters. Pure. */
bool probe_path_valid(const char *path);

/*
 * The status of an answer of which `n` bytes came until now: 100 to 599; 0: not all of its first line is there; -EBADMSG: it is no HTTP.
 * Pure. Source: RFC 9112, section 4.
 */
_must_check_ int probe_status(const char *bytes, size_t n);

/* "GET /health: 500", "takes connections": for people. Returns `buffer`. */
const char *probe_words(const Probe *probe, const char *path, char *buffer, size_t size);

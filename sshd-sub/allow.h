/* SPDX-License-Identifier: MIT */
/*
 * What a worker may say, and when: one table, rows start forbidden. Whatever breaks it ends the connection.
 */
#pragma once

#include "sshd-sub/wire.h"

typedef enum AllowState {
	STATE_SELFTEST = 1, /* the listener's own, at start: signs and verifies, reaches no keeper */
	STATE_FRESH = 2,    /* no exchange hash yet */
	STATE_KEYED = 4,    /* session id known */
	STATE_ASKING = 8,   /* an answer about a key or a login is due: the worker waits for it */
	STATE_ENTERED = 16, /* logged in */
} AllowState;

/* Attempts that may fail before the connection ends; the same number that the worker counts for its client. */
#define ALLOW_TRIES_MAX 6U

/* Asked once a message, with `counts` (WIRE_TYPES numbers, 0 at first) of the connection. Counts it when allowed. */
_must_check_ bool allow_message(AllowState state, const WireHeader *header, size_t n_fds, uint32_t *counts);

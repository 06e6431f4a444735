/* SPDX-License-Identifier: MIT */
/* How much a client may send ahead. */
#pragma once

#include "sshd-sub/worker.h"

/*
 * After each round of the loop: opens the window of a far client that sends much. Calls libssh, so callbacks run; frees
 * nothing. What libssh held may be staged by it.
 *
 * Context: worker, in its loop, outside of callbacks.
 */
void window_widen(Channel *channel);

/* More than an honest client can have sent without our taking it. */
size_t window_bound(const Channel *channel);

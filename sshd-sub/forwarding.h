/* SPDX-License-Identifier: MIT */
/* Local forwarding (direct-tcpip), and a reason for every kind of forwarding that there is not. */
#pragma once

#include "sshd-sub/worker.h"

#include <libssh/server.h>

/*
 * libssh's callback for all that no other callback took; `userdata` is the worker. Returns 1: libssh refuses it. 0: done, or
 * to be answered when the monitor has answered.
 */
int forwarding_on_message(ssh_session session, ssh_message message, void *userdata);

/* The monitor's WIRE_CONNECTED: answers the client. Takes the descriptor. */
void forwarding_answered(Worker *worker, LinkMessage *answer);

/* As channel_step(), for a forwarding. */
bool forwarding_step(Channel *channel);
/* Its socket broke: nothing more can be written. */
void forwarding_broke(Channel *channel);

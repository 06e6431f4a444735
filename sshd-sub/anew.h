/* SPDX-License-Identifier: MIT */
/* The listener's next image: the same process, listening sockets and waiting clients, another address-space layout. */
#pragma once

#include "sshd-sub/waiting.h"

/* Which descriptors are clients', for the next image; the listening sockets go the way of sd_listen_fds(3). */
#define ANEW_VARIABLE "CREEL_WAITING"

/*
 * Context: listener. Executes this program with `argv`; `listening_fds` must be where systemd puts them. Returns only on
 * failure, a negative errno.
 */
int anew_execute(char *const argv[], const int *listening_fds, unsigned int n, const Room *room);

/*
 * Context: listener, at its start. Takes over who waited in the image
 * before. What is no connection any more is left out. Returns how many.
 */
unsigned int anew_take_waiting(Room *room, uint64_t now_usec);

/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that peers send: known by their number, so that none stays open when its connection is gone.
 *
 * libsystemd (252) loses the descriptors of a message that it drops as malformed: a peer could fill the keeper's table with
 * them, and nobody could log in any more. So what arrives on a watched socket is moved to numbers at the top of the table,
 * where nothing else is; each number is remembered with the connection that it came by, and what is left of a connection is closed with it. A peer
 * that has RECEIVED_OPEN_MAX of them open at a time, by whatever trick, loses its connection.
 *
 * sd-bus knows nothing of it: this file's recvmsg(2) is found before libc's, in programs that export it (Makefile); in others
 * nothing is watched. What is to outlive its message must be copied (F_DUPFD_CLOEXEC): the copy lies below.
 */
#pragma once

#include "shell/base/cleanup.h"

#define RECEIVED_OPEN_MAX 32U /* of one connection */

/* Returns a ticket, more than 0, or -ENOSPC: too many sockets are watched. */
_must_check_ int received_watch(int socket_fd);

/*
 * Closes what is left of it. The socket itself may be closed already, and its number another one's: sd-bus closes it at once
 * when a message is malformed.
 */
void received_forget(int ticket);

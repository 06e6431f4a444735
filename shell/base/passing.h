/* SPDX-License-Identifier: MIT */
/*
 * Descriptors that travel over a unix socket (SCM_RIGHTS, unix(7)). The one place that receives them: a buffer that is a
 * few bytes larger than the descriptors wanted lets the kernel deliver more of them, which nobody would close.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

#define PASSING_FDS_MAX 4U /* of one message */

/*
 * Sends one message with `n_fds` descriptors, which stay the caller's. `flags` are sendmsg(2)'s; MSG_NOSIGNAL is added.
 * Returns 0, -EINVAL (too many descriptors) or sendmsg(2)'s errors. Async-signal-safe.
 */
_must_check_ int passing_send(
	int fd, const struct iovec *parts, size_t n_parts, const int *fds, size_t n_fds, int flags);

/*
 * Receives one message with at most `room` (up to PASSING_FDS_MAX) descriptors, which are the caller's afterwards, and
 * close-on-exec. `ret_n` is their number. Returns how many bytes came (0: the end, or an empty message), -EBADMSG for a
 * message that is cut or carries more descriptors, all of which are closed then, or recvmsg(2)'s errors.
 */
_must_check_ ssize_t passing_receive(
	int fd, const struct iovec *parts, size_t n_parts, int *ret_fds, size_t room, size_t *ret_n, int flags);

/* SPDX-License-Identifier: MIT */
/* What a worker has left: two descriptors, memory, and the system calls of the table in sandbox.c. */
#pragma once

#include "shell/base/cleanup.h"

/*
 * Address space of a worker: its libraries, 20 MiB, and what libssh and we hold for its client (WORKER_INPUT_MAX, in
 * buffers that may be twice as large), with room for the buffers of channels that were full once. Against peers who ignore
 * the window, and libssh's own endless loops.
 */
#define SANDBOX_MEMORY_MAX (96UL * 1024 * 1024)

/* When the front as a whole is out of memory, a worker ends before the listener and the monitor, the largest first. */
#define SANDBOX_OOM_SCORE "500"

/* Descriptors of a worker: three a channel, the connection, the link, the standard ones, and some in flight. */
#define SANDBOX_FDS_MAX 256U

/*
 * Context: listener, once, before the first fork. Builds the filter and the Landlock rule set, and sets what is
 * inherited: no_new_privs, no core dumps, not dumpable. `ret_landlock_fd` is -EBADF when the kernel has no Landlock.
 */
_must_check_ int sandbox_prepare(int *ret_landlock_fd);

/* Context: worker, at its top, before it reads a byte. Closes `landlock_fd`. Returns 0 or a negative errno: then it must end. */
_must_check_ int sandbox_apply(int landlock_fd);

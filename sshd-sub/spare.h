/* SPDX-License-Identifier: MIT */
/* The worker of the next connection, forked and confined before there is one. */
#pragma once

#include "shell/base/cleanup.h"
#include "sshd-sub/options.h"

#include <libssh/libssh.h>
#include <stdbool.h>
#include <sys/types.h>

typedef struct Spare {
	pid_t pid;      /* 0: there is none */
	int handoff_fd; /* our end, for its connection */
	int link_fd;    /* the monitor's end of its link */
} Spare;

#define SPARE_NONE                                      \
	{                                               \
		.handoff_fd = -EBADF, .link_fd = -EBADF \
	}

static inline bool spare_waits(const Spare *spare)
{
	return spare->pid > 0;
}

/* Context: listener. Forks; the child runs worker_run() and never returns. Returns 0 or a negative errno. */
_must_check_ int spare_make(
	Spare *spare, ssh_session session, int landlock_fd, const Options *options, const char *banner);

/* Gives it the connection, which stays the caller's, too. Returns 0, or a negative errno: it is no more. */
_must_check_ int spare_hand_over(const Spare *spare, int connection_fd);

/* Forgets it: closes our descriptors. One that still waits, or whose link nobody took, ends by that. */
void spare_drop(Spare *spare);

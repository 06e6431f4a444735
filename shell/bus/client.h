/* SPDX-License-Identifier: MIT */
/* The caller's end of the keeper's bus, for programs that ask one thing and wait: creel and creelctl. */
#pragma once

#include "shell/base/cleanup.h"

#include <sys/types.h>
#include <systemd/sd-bus.h>

/*
 * Connects to the keeper of `uid` (KEEPER_SOCKET_FORMAT) and finishes the handshake. The caller unrefs the
 * bus. Returns 0; -ENOENT: no such keeper, as the uid is no agent's or the agent is disabled; -EACCES: not
 * the caller's keeper; another negative errno.
 */
_must_check_ int keeper_connect(uid_t uid, sd_bus **ret);

/* A line for a person about a failed connect or call; `error` may be NULL or unset. Returns `buffer`. */
const char *keeper_failure(int r, const sd_bus_error *error, char *buffer, size_t size);

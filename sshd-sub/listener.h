/* SPDX-License-Identifier: MIT */
#pragma once

#include "sshd-sub/options.h"

/*
 * Context: the main process. Takes the listening sockets (systemd's, or its own on loopback), forks the monitor, tests
 * itself, accepts until SIGTERM. `argv` (at most 16 words) is for the monitor,
 * and for starting anew after a worker crashed. Returns the exit status.
 */
int listener_run(const Options *options, char *const argv[]);

/* SPDX-License-Identifier: MIT */
#pragma once

#include "sshd-sub/offer.h"

#include <stdint.h>

/*
 * Logs in to ourselves, once for each cipher: a libssh client and a libssh server in this process, the real monitor
 * behind `control_fd`. It proves that libssh's private-key operations reach the monitor, and that what the monitor reads
 * is what libssh writes; and it leaves OpenSSL's and libssh's tables filled, in memory that every worker inherits.
 *
 * Context: listener, at start. Returns 0; -EPROTO when this libssh does not do what we rely on: then nothing may be
 * served; or another negative errno. `ret_step` says what was being tried.
 */
_must_check_ int selftest_run(ssh_bind offer, int control_fd, const uint8_t *host_public, const char **ret_step);

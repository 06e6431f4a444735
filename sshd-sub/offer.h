/* SPDX-License-Identifier: MIT */
/* What we offer to clients, and the libssh session that every worker starts from. */
#pragma once

#include "shell/base/cleanup.h"

#include <libssh/libssh.h>
#include <libssh/server.h>
#include <stdbool.h>

#define OFFER_CIPHERS \
	"chacha20-poly1305@openssh.com,aes256-gcm@openssh.com,aes128-gcm@openssh.com,aes256-ctr,aes128-ctr"

DEFINE_CLEANUP(struct ssh_bind_struct, ssh_bind_free)
DEFINE_CLEANUP(struct ssh_session_struct, ssh_free)

/*
 * `key` is a private key file's text. `older_clients`: also the message authentication codes of before encrypt-then-MAC,
 * last. Returns 0 or a negative errno; -EKEYREJECTED when libssh does not take it.
 */
_must_check_ int offer_new(const char *key, bool older_clients, ssh_bind *ret);

/*
 * A server session that will use descriptor `fd`, which need not be open yet: the listener makes one before it forks,
 * and each worker puts its connection there. New keys are made after `rekey_bytes`; 0: when the cipher needs them.
 * Returns 0 or a negative errno.
 */
_must_check_ int offer_session_new(ssh_bind offer, int fd, uint64_t rekey_bytes, ssh_session *ret);

/* SPDX-License-Identifier: MIT */
/*
 * Requests of a client that are answered later. libssh (0.10 to 0.12) frees a message when its callback returns, and has
 * no interface to keep one beside other callbacks.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <libssh/libssh.h>

/* In libssh's message callback, which then returns 0: the message stays. Returns 0 or -ENOBUFS. */
_must_check_ int kept_add(ssh_message message);

/*
 * Whether the message is still there: libssh asked to free it, and was not obeyed. False: it was freed in a way that we do
 * not see, and must not be touched.
 */
bool kept_is_sound(ssh_message message);

/* Frees it, or forgets it if it is not there any more. */
void kept_free(ssh_message message);

/* SPDX-License-Identifier: MIT */
/*
 * The terminal modes of a pty-req (RFC 4254 section 8). libssh (0.10 to 0.12) reads them into a string of its own, which
 * no function shows; so its two functions for making and freeing strings are bound to ours, as split.h does with
 * OpenSSL's, and the last string that it made is remembered while it lives.
 *
 * Context: worker.
 */
#pragma once

#include "sshd-sub/blob.h"

/*
 * Inside the callback for a pty-req: the modes that came with it, as the client encoded them; empty when what was found
 * is not well formed or longer than KEEPER_MODES_MAX. Valid until libssh is called again.
 */
Slice modes_of_request(void);

/* Opcodes 1 to 159, each with a uint32, ended by opcode 0 or by the end. */
bool modes_well_formed(const uint8_t *data, size_t n);

/* SPDX-License-Identifier: MIT */
/*
 * Which public keys may log in: authorized_keys files (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 *
 * Options are read by key-options.h; a line whose options cannot be honoured refuses its key.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/policy/policy.h"
#include "shell/session/key-options.h"
#include "shell/session/identity.h"

#include <stddef.h>
#include <stdint.h>

typedef enum KeyVerdict {
	KEY_ALLOWED = 0,
	KEY_UNKNOWN = 1, /* no line has this key */
	KEY_REFUSED =
		2, /* a line has it, but with options that cannot be honoured or do not admit this client; or the file
			    * cannot be trusted */
} KeyVerdict;

#define KEYS_FILE_MAX (256U * 1024) /* bytes of one file */

/*
 * Looks for the key `blob` (RFC 4253 section 6.6 wire form) in the text of one file. Lines that are no keys are skipped.
 * The first line with the key decides; `ret_options` (the caller frees it) is set only for KEY_ALLOWED.
 * Pure: no files, no privilege; fuzzed.
 */
KeyVerdict keys_find(
	const char *text, size_t n, const uint8_t *blob, size_t blob_n, KeyOptions *ret_options, KeyReason *ret_reason);

/* Is it a key that lives in a device of its own, whose signatures say whether somebody touched it (sk-...)? */
bool key_is_security_key(const uint8_t *blob, size_t blob_n);

/*
 * Looks in the files that the policy names: ~/.ssh/authorized_keys, read as the agent, and POLICY_DIR/agents/NAME.keys,
 * which root owns. Home, ~/.ssh and the file must belong to the agent or root, must not be writable by others, and must
 * not be symbolic links (as sshd's StrictModes, without its trust in links).
 * Returns a KeyVerdict, or a negative errno when memory is out. Context: keeper. Privilege: as identity_borrow().
 */
_must_check_ int keys_authorize(const Identity *identity, const Policy *policy, const uint8_t *blob, size_t blob_n,
	KeyOptions *ret_options, KeyReason *ret_reason);

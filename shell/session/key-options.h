/* SPDX-License-Identifier: MIT */
/*
 * Options in front of a key in an authorized_keys file (sshd(8), AUTHORIZED_KEYS FILE FORMAT).
 *
 * An option that we do not know refuses the key: what was meant to restrict must never be dropped silently.
 */
#pragma once

#include "shell/base/str.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Why a key was refused, for the record; "" when there is nothing to say. */
typedef struct KeyReason {
	char text[256];
} KeyReason;

#define KEY_OPTIONS_TEXT_MAX 4000U /* bytes; what fits into a mark of a leaf */

typedef struct KeyOptions {
	char *text;          /* as it was read; NULL without options */
	bool terminal;       /* a pty may be asked for */
	bool forwarding;     /* local forwarding (direct-tcpip) may be asked for */
	bool touch;          /* security keys: somebody must have touched it for this signature */
	bool verification;   /* security keys: and have given PIN or finger */
	char *command;       /* what runs instead of anything that the client asks for; NULL: none */
	char *from;          /* pattern list of client addresses; NULL: any */
	StrList permit_open; /* "host:port", the port may be `*`; empty: what the policy allows */
	StrList environment; /* "NAME=value" */
	uint64_t expiry_sec; /* seconds since the epoch; 0: never */
} KeyOptions;

/* A key without options: everything that the policy allows. */
#define KEY_OPTIONS_NONE ((KeyOptions){ .terminal = true, .forwarding = true, .touch = true })

/*
 * Reads the options' text (the one word in front of the key type). Pure; fuzzed.
 * Returns 0; -EINVAL with the reason (unknown, malformed or doubled option); -ENOMEM. `ret` is untouched on failure.
 */
_must_check_ int key_options_parse(const char *text, size_t n, KeyOptions *ret, KeyReason *ret_reason);

/*
 * May a client at `address` use the key at `now_sec`? Returns true, or false with the reason. A `from` list holds
 * addresses with the wildcards * and ?, networks in CIDR form, and negated ones (!); names are not resolved.
 */
bool key_options_admit(const KeyOptions *options, const char *address, uint64_t now_sec, KeyReason *ret_reason);

/* Flags that a security key signs (FIDO U2F raw message formats, section 5.4; WebAuthn section 6.1). */
#define KEY_PRESENCE_TOUCHED 0x01U
#define KEY_PRESENCE_VERIFIED 0x04U

/* Do the flags of a security key's signature satisfy the options? Returns true, or false with the reason. */
bool key_options_admit_presence(const KeyOptions *options, uint32_t presence, KeyReason *ret_reason);

/* Accepts an empty one. */
void key_options_done(KeyOptions *options);

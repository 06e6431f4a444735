/* SPDX-License-Identifier: MIT */
/*
 * The signed request of a public key login (RFC 4252 section 7), read and verified by the monitor itself: libssh's
 * verdict, which comes from the process that faces the network, decides nothing.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/bus/bus.h"
#include "sshd-sub/blob.h"

#define USERAUTH_RSA_BITS_MIN 2048U
#define USERAUTH_RSA_BITS_MAX 16384U

/* What libssh is told to accept, and the extension server-sig-algs says. Certificates count as unknown. */
#define USERAUTH_ALGORITHMS                                                                                  \
	"ssh-ed25519,ecdsa-sha2-nistp256,ecdsa-sha2-nistp384,ecdsa-sha2-nistp521,rsa-sha2-512,rsa-sha2-256," \
	"sk-ssh-ed25519@openssh.com,sk-ecdsa-sha2-nistp256@openssh.com"

typedef struct Userauth {
	char user[KEEPER_USER_MAX + 1];
	char algorithm[64];
	uint32_t presence;     /* the flags byte that a security key signed; 0 for other keys */
	Slice session_id, key; /* point into the data that was parsed */
} Userauth;

/* Outcomes that are no failures of ours. */
typedef enum UserauthOutcome {
	USERAUTH_VALID = 0,
	USERAUTH_FORGED = 1,      /* the signature does not fit, or not this session */
	USERAUTH_UNSUPPORTED = 2, /* a kind of key, or size, that we do not take */
} UserauthOutcome;

/*
 * Reads the data under the signature: session id, 50, user, "ssh-connection", "publickey" or its host-bound form, TRUE,
 * algorithm, key. Returns 0 or -EBADMSG.
 */
_must_check_ int userauth_parse(const uint8_t *data, size_t n, Userauth *ret);

/* Is this key blob, well-formed to its last byte, of a kind and size that may log in? Returns a UserauthOutcome. */
_must_check_ int userauth_key_check(Slice key);

/*
 * Verifies that `signature` was made over `data` by the key inside it, for the session with that id.
 * `signature` is in OpenSSL's form, as libssh hands it to EVP_DigestVerify(): 64 bytes, DER, or a number.
 * Returns a UserauthOutcome, -EBADMSG, or -ENOMEM.
 */
_must_check_ int userauth_verify(const uint8_t *data, size_t n, Slice session_id, Slice signature, Userauth *ret);

/*
 * The same for a security key, which signs not the request but `data`: SHA-256 of its application, flags, counter,
 * SHA-256 of the request (WIRE_SK_DATA_SIZE bytes). The request is put together here from `user`, `key` and the session
 * id; whether the flags are good enough is the keeper's to say. `ret->key` is `key`.
 */
_must_check_ int userauth_verify_sk(
	const char *user, Slice key, Slice session_id, Slice data, Slice signature, Userauth *ret);

/* "SHA256:" and unpadded base64, as ssh-keygen -l prints. Returns 0 or a negative errno. */
_must_check_ int userauth_fingerprint(Slice key, char ret[static 64]);

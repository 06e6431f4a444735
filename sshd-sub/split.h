/* SPDX-License-Identifier: MIT */
/*
 * Split keys: the two private-key operations of a login leave the process that faces the network.
 *
 * libssh signs the exchange hash with EVP_DigestSign() and checks the user's signature with EVP_DigestVerify(), and
 * uses these two for nothing else. This program defines both symbols, so the dynamic linker binds libssh's calls here.
 * In a worker the first asks the monitor; the second only notes what was signed and by what, says yes, and leaves the
 * verdict to the monitor. Everywhere else both are OpenSSL's own.
 */
#pragma once

#include "sshd-sub/blob.h"
#include "sshd-sub/link.h"

typedef enum SplitRole {
	SPLIT_OFF,      /* OpenSSL's own */
	SPLIT_WORKER,   /* as described above */
	SPLIT_SELFTEST, /* a server and a client in one process: what is short is an exchange hash, see split.c */
} SplitRole;

/* Finds OpenSSL's functions. To be called first in main(). Returns 0 or -ENOSYS. */
_must_check_ int split_init(void);

/*
 * `link` is borrowed, and must stay. `on_exchange` is called before each exchange is signed, so before the client can see
 * the signature; NULL: nobody is.
 */
void split_enter(SplitRole role, Link *link, void (*on_exchange)(void));

/* What the last user signature was made over, and the signature. Empty when there was none since split_forget(). */
Slice split_signed_data(void);
Slice split_signature(void);
void split_forget(void);

/* How often libssh came here, for the self-test. */
unsigned int split_count(void);

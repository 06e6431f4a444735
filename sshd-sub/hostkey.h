/* SPDX-License-Identifier: MIT */
/*
 * The host key, in two halves. The monitor holds the private one. Everybody else gets a key that libssh takes for
 * whole, with the right public half and a secret of zeroes: with it libssh builds everything but the signature.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <openssl/evp.h>
#include <stddef.h>
#include <stdint.h>

#define HOSTKEY_PUBLIC_SIZE 32U
#define HOSTKEY_FILE_MAX 4096U

/*
 * Reads an unencrypted Ed25519 key in OpenSSH's format (ssh-keygen(1)), the only kind that we offer.
 * The text is the caller's to wipe. Returns 0; -EBADMSG not such a file; -EKEYREJECTED encrypted, another kind, or its two
 * halves do not belong together.
 */
_must_check_ int hostkey_parse(const char *text, size_t n, EVP_PKEY **ret);

_must_check_ int hostkey_public(EVP_PKEY *key, uint8_t ret[static HOSTKEY_PUBLIC_SIZE]);

/* Signs `data` with the private half; 64 bytes. Returns 0 or -EIO. */
_must_check_ int hostkey_sign(EVP_PKEY *key, const uint8_t *data, size_t n, uint8_t ret[static 64]);

/* New memory: a key file with that public half and a secret of zeroes. NULL when memory is out. */
_must_check_ char *hostkey_write_hollow(const uint8_t public[static HOSTKEY_PUBLIC_SIZE]);

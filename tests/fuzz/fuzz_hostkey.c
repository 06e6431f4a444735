/* SPDX-License-Identifier: MIT */
/* A host key file. One that is taken must sign what its public half verifies. */
#include "sshd-sub/hostkey.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint8_t public[HOSTKEY_PUBLIC_SIZE], signature[64];
	EVP_PKEY *key = NULL;

	if (hostkey_parse((const char *)data, n, &key) < 0) {
		if (key)
			__builtin_trap();
		return 0;
	}
	if (hostkey_public(key, public) < 0 || hostkey_sign(key, public, sizeof(public), signature) < 0)
		__builtin_trap();
	EVP_PKEY_free(key);
	return 0;
}

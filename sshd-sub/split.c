/* SPDX-License-Identifier: MIT */
/*
 * In the self-test a libssh client and a libssh server live in one process. The client signs its login (more than 64
 * bytes) with a key of its own, and verifies the host's signature over the exchange hash (at most 64 bytes): these two
 * must be OpenSSL's. The other two are the server's, and go the split way.
 *
 * gss_indicate_mechs() is bound here for another reason: libssh runs the Kerberos library for a client that asks for
 * gssapi-with-mic, whether that was offered or not. It is told that there are no mechanisms.
 */
#include "sshd-sub/split.h"

#include <dlfcn.h>
#include <openssl/evp.h>
#include <string.h>

#define EXPORTED __attribute__((visibility("default")))

typedef int SignFunction(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
typedef int VerifyFunction(EVP_MD_CTX *, const unsigned char *, size_t, const unsigned char *, size_t);

static struct {
	SignFunction *sign;
	VerifyFunction *verify;
	SplitRole role;
	Link *link;
	unsigned int count;
	size_t data_n, signature_n;
	uint8_t data[WIRE_SIGNED_DATA_MAX], signature[WIRE_SIGNATURE_MAX];
} split;

int split_init(void)
{
	split.sign = (SignFunction *)dlsym(RTLD_NEXT, "EVP_DigestSign");
	split.verify = (VerifyFunction *)dlsym(RTLD_NEXT, "EVP_DigestVerify");
	return split.sign && split.verify ? 0 : -ENOSYS;
}

void split_enter(SplitRole role, Link *link)
{
	split.role = role;
	split.link = link;
	split.count = 0;
	split_forget();
}

Slice split_signed_data(void)
{
	return (Slice){ .data = split.data, .n = split.data_n };
}

Slice split_signature(void)
{
	return (Slice){ .data = split.signature, .n = split.signature_n };
}

void split_forget(void)
{
	split.data_n = 0;
	split.signature_n = 0;
}

unsigned int split_count(void)
{
	return split.count;
}

static int sign_by_monitor(unsigned char *signature, size_t *signature_n, const unsigned char *hash, size_t n)
{
	_cleanup_(link_message_freep) LinkMessage *answer = NULL;
	uint8_t buffer[WIRE_HASH_MAX];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };

	if (n < WIRE_HASH_MIN || n > WIRE_HASH_MAX)
		return 0;
	memcpy(buffer, hash, n);
	writer.used = n;
	if (link_ask(split.link, WIRE_SIGN, &writer, WIRE_SIGNED, &answer) < 0)
		return 0;
	if (!answer->header.length || answer->header.length > *signature_n)
		return 0;
	memcpy(signature, answer->payload, answer->header.length);
	*signature_n = answer->header.length;
	return 1;
}

static int note_signature(const unsigned char *signature, size_t signature_n, const unsigned char *data, size_t n)
{
	if (signature_n > sizeof(split.signature) || n > sizeof(split.data))
		return 0;
	memcpy(split.signature, signature, signature_n);
	split.signature_n = signature_n;
	memcpy(split.data, data, n);
	split.data_n = n;
	return 1;
}

EXPORTED int EVP_DigestSign(EVP_MD_CTX *context, unsigned char *signature, size_t *signature_n,
	const unsigned char *data, size_t n)
{
	if (split.role == SPLIT_OFF || (split.role == SPLIT_SELFTEST && n > WIRE_HASH_MAX))
		return split.sign(context, signature, signature_n, data, n);
	if (!signature) {
		*signature_n = WIRE_SIGNATURE_MAX;
		return 1;
	}
	split.count++;
	return sign_by_monitor(signature, signature_n, data, n);
}

EXPORTED int EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t signature_n,
	const unsigned char *data, size_t n)
{
	if (split.role == SPLIT_OFF || (split.role == SPLIT_SELFTEST && n <= WIRE_HASH_MAX))
		return split.verify(context, signature, signature_n, data, n);
	split.count++;
	return note_signature(signature, signature_n, data, n);
}

/* The Kerberos library's types are two integers and a pointer here: its header is no dependency of ours. */
EXPORTED uint32_t gss_indicate_mechs(uint32_t *minor, void **mechanisms);

EXPORTED uint32_t gss_indicate_mechs(uint32_t *minor, void **mechanisms)
{
	*minor = 0;
	*mechanisms = NULL;
	return 13U << 16; /* GSS_S_FAILURE */
}

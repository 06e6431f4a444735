/* SPDX-License-Identifier: MIT */
/*
 * In the self-test a libssh client and a libssh server live in one process. The client signs its login (more than 64
 * bytes) with a key of its own, and verifies the host's signature over the exchange hash (at most 64 bytes): these two
 * must be OpenSSL's. The other two are the server's, and go the split way.
 *
 * Two more are bound here because they cost a worker a third of its computing, for nothing:
 * - libssh makes a key object of the hollow host key for every signature, and OpenSSL computes a public half for it. Its
 *   only use is to be handed to EVP_DigestSign(); one object, made in the self-test, serves all workers.
 * - libssh takes the private half of a fresh X25519 key out of OpenSSL's object, and makes an object of it again for the
 *   one derivation. The first object is still there: it is given back.
 * Should a later libssh do neither, nothing is lost but the time.
 *
 * gss_indicate_mechs() is bound here for another reason: libssh runs the Kerberos library for a client that asks for
 * gssapi-with-mic, whether that was offered or not. It is told that there are no mechanisms.
 */
#include "sshd-sub/split.h"

#include <dlfcn.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <string.h>

#define X25519_SIZE 32U
#define EXPORTED __attribute__((visibility("default")))

typedef int SignFunction(EVP_MD_CTX *, unsigned char *, size_t *, const unsigned char *, size_t);
typedef EVP_PKEY *NewKeyFunction(int, ENGINE *, const unsigned char *, size_t);
typedef int GetKeyFunction(const EVP_PKEY *, unsigned char *, size_t *);
typedef int VerifyFunction(EVP_MD_CTX *, const unsigned char *, size_t, const unsigned char *, size_t);

static struct {
	SignFunction *sign;
	VerifyFunction *verify;
	NewKeyFunction *new_key;
	GetKeyFunction *get_key;
	SplitRole role;
	EVP_PKEY *hollow;   /* the host key without its secret */
	EVP_PKEY *exchange; /* the last X25519 key, and its private half */
	uint8_t exchange_private[X25519_SIZE];
	Link *link;
	void (*on_exchange)(void);
	unsigned int count;
	size_t data_n, signature_n;
	uint8_t data[WIRE_SIGNED_DATA_MAX], signature[WIRE_SIGNATURE_MAX];
} split;

int split_init(void)
{
	split.sign = (SignFunction *)dlsym(RTLD_NEXT, "EVP_DigestSign");
	split.verify = (VerifyFunction *)dlsym(RTLD_NEXT, "EVP_DigestVerify");
	split.new_key = (NewKeyFunction *)dlsym(RTLD_NEXT, "EVP_PKEY_new_raw_private_key");
	split.get_key = (GetKeyFunction *)dlsym(RTLD_NEXT, "EVP_PKEY_get_raw_private_key");
	return split.sign && split.verify && split.new_key && split.get_key ? 0 : -ENOSYS;
}

void split_enter(SplitRole role, Link *link, void (*on_exchange)(void))
{
	split.role = role;
	split.link = link;
	split.on_exchange = on_exchange;
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

EXPORTED int EVP_DigestSign(
	EVP_MD_CTX *context, unsigned char *signature, size_t *signature_n, const unsigned char *data, size_t n)
{
	if (split.role == SPLIT_OFF || (split.role == SPLIT_SELFTEST && n > WIRE_HASH_MAX))
		return split.sign(context, signature, signature_n, data, n);
	if (!signature) {
		*signature_n = WIRE_SIGNATURE_MAX;
		return 1;
	}
	split.count++;
	if (split.on_exchange)
		split.on_exchange();
	return sign_by_monitor(signature, signature_n, data, n);
}

EXPORTED int EVP_DigestVerify(
	EVP_MD_CTX *context, const unsigned char *signature, size_t signature_n, const unsigned char *data, size_t n)
{
	if (split.role == SPLIT_OFF || (split.role == SPLIT_SELFTEST && n <= WIRE_HASH_MAX))
		return split.verify(context, signature, signature_n, data, n);
	split.count++;
	return note_signature(signature, signature_n, data, n);
}

static EVP_PKEY *key_share(EVP_PKEY *key)
{
	return EVP_PKEY_up_ref(key) == 1 ? key : NULL;
}

/* All zeroes: only the hollow key has such a secret. */
static bool is_hollow(const unsigned char *secret, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (secret[i])
			return false;
	return n > 0;
}

EXPORTED int EVP_PKEY_get_raw_private_key(const EVP_PKEY *key, unsigned char *private, size_t *n)
{
	int r = split.get_key(key, private, n);

	if (split.role == SPLIT_OFF || r != 1 || !private || *n != X25519_SIZE ||
		EVP_PKEY_get_base_id(key) != EVP_PKEY_X25519)
		return r;
	EVP_PKEY_free(split.exchange);
	split.exchange = key_share((EVP_PKEY *)key);
	memcpy(split.exchange_private, private, X25519_SIZE);
	return r;
}

EXPORTED EVP_PKEY *EVP_PKEY_new_raw_private_key(int type, ENGINE *engine, const unsigned char *private, size_t n)
{
	if (split.role == SPLIT_OFF)
		return split.new_key(type, engine, private, n);
	if (type == EVP_PKEY_ED25519 && is_hollow(private, n)) {
		if (!split.hollow)
			split.hollow = split.new_key(type, engine, private, n);
		return split.hollow ? key_share(split.hollow) : NULL;
	}
	if (type == EVP_PKEY_X25519 && split.exchange && n == X25519_SIZE &&
		CRYPTO_memcmp(private, split.exchange_private, n) == 0) {
		EVP_PKEY *key = split.exchange; /* ours is handed over: it derives once */

		split.exchange = NULL;
		explicit_bzero(split.exchange_private, sizeof(split.exchange_private));
		return key;
	}
	return split.new_key(type, engine, private, n);
}

/* The Kerberos library's types are two integers and a pointer here: its header is no dependency of ours. */
EXPORTED uint32_t gss_indicate_mechs(uint32_t *minor, void **mechanisms);

EXPORTED uint32_t gss_indicate_mechs(uint32_t *minor, void **mechanisms)
{
	*minor = 0;
	*mechanisms = NULL;
	return 13U << 16; /* GSS_S_FAILURE */
}

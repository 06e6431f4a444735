/* SPDX-License-Identifier: MIT */
/*
 * The format: OpenSSH's PROTOCOL.key. Between the two lines of armour, base64 of
 *   "openssh-key-v1\0", cipher, KDF, KDF options, number of keys (1), public key blob, private part
 * where the private part is two equal check numbers, type, public half, secret (seed and public half), comment, padding.
 */
#include "sshd-sub/hostkey.h"
#include "shell/base/base64.h"
#include "sshd-sub/blob.h"

#include <string.h>

#define ARMOUR_BEGIN "-----BEGIN OPENSSH PRIVATE KEY-----"
#define ARMOUR_END "-----END OPENSSH PRIVATE KEY-----"
#define MAGIC "openssh-key-v1" /* with its NUL */
#define KEY_TYPE "ssh-ed25519"
#define SEED_SIZE 32U

static int hostkey_parse_private(Slice private, Slice public, EVP_PKEY **ret)
{
	Blob blob = { .at = private.data, .left = private.n };
	uint32_t check = blob_get_u32(&blob);
	uint8_t again[HOSTKEY_PUBLIC_SIZE];
	Slice type, half, secret;
	EVP_PKEY *key;

	if (blob_get_u32(&blob) != check || blob.failed)
		return -EBADMSG;
	type = blob_get_string(&blob);
	if (blob.failed)
		return -EBADMSG;
	if (!slice_equal(type, KEY_TYPE))
		return -EKEYREJECTED;
	half = blob_get_string(&blob);
	secret = blob_get_string(&blob);
	(void)blob_get_string(&blob); /* comment */
	if (blob.failed || half.n != HOSTKEY_PUBLIC_SIZE || secret.n != SEED_SIZE + HOSTKEY_PUBLIC_SIZE)
		return -EBADMSG;
	for (uint8_t i = 1; blob.left; i++)
		if (blob_get_byte(&blob) != i)
			return -EBADMSG;
	if (memcmp(half.data, public.data, HOSTKEY_PUBLIC_SIZE) != 0 ||
		memcmp(half.data, secret.data + SEED_SIZE, HOSTKEY_PUBLIC_SIZE) != 0)
		return -EKEYREJECTED;

	key = EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, NULL, secret.data, SEED_SIZE);
	if (!key)
		return -ENOMEM;
	if (hostkey_public(key, again) < 0 || memcmp(again, half.data, HOSTKEY_PUBLIC_SIZE) != 0) {
		EVP_PKEY_free(key);
		return -EKEYREJECTED;
	}
	*ret = key;
	return 0;
}

static int hostkey_parse_blob(Slice whole, EVP_PKEY **ret)
{
	Blob blob = { .at = whole.data, .left = whole.n };
	Slice magic = blob_get_raw(&blob, sizeof(MAGIC));
	Slice cipher, kdf, options, public, private, type, half;
	Blob inner;

	if (blob.failed || memcmp(magic.data, MAGIC, sizeof(MAGIC)) != 0)
		return -EBADMSG;
	cipher = blob_get_string(&blob);
	kdf = blob_get_string(&blob);
	options = blob_get_string(&blob);
	if (blob_get_u32(&blob) != 1)
		return -EBADMSG;
	public = blob_get_string(&blob);
	private = blob_get_string(&blob);
	if (!blob_done(&blob))
		return -EBADMSG;
	if (!slice_equal(cipher, "none") || !slice_equal(kdf, "none") || options.n)
		return -EKEYREJECTED;

	inner = (Blob){ .at = public.data, .left = public.n };
	type = blob_get_string(&inner);
	half = blob_get_string(&inner);
	if (!inner.failed && !slice_equal(type, KEY_TYPE))
		return -EKEYREJECTED;
	if (!blob_done(&inner) || half.n != HOSTKEY_PUBLIC_SIZE)
		return -EBADMSG;
	return hostkey_parse_private(private, half, ret);
}

int hostkey_parse(const char *text, size_t n, EVP_PKEY **ret)
{
	const char *begin = memmem(text, n, ARMOUR_BEGIN, strlen(ARMOUR_BEGIN));
	uint8_t binary[HOSTKEY_FILE_MAX];
	const char *end;
	size_t binary_n;
	int r;

	if (!begin || n > sizeof(binary))
		return -EBADMSG;
	begin += strlen(ARMOUR_BEGIN);
	end = memmem(begin, n - (size_t)(begin - text), ARMOUR_END, strlen(ARMOUR_END));
	if (!end)
		return -EBADMSG;
	r = base64_decode(begin, (size_t)(end - begin), true, binary, &binary_n);
	if (!r)
		r = hostkey_parse_blob((Slice){ .data = binary, .n = binary_n }, ret);
	explicit_bzero(binary, sizeof(binary));
	return r;
}

int hostkey_public(EVP_PKEY *key, uint8_t ret[static HOSTKEY_PUBLIC_SIZE])
{
	size_t n = HOSTKEY_PUBLIC_SIZE;

	return EVP_PKEY_get_raw_public_key(key, ret, &n) == 1 && n == HOSTKEY_PUBLIC_SIZE ? 0 : -EIO;
}

int hostkey_sign(EVP_PKEY *key, const uint8_t *data, size_t n, uint8_t ret[static 64])
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t signature_n = 64;
	int r = -EIO;

	if (context && EVP_DigestSignInit(context, NULL, NULL, NULL, key) == 1 &&
		EVP_DigestSign(context, ret, &signature_n, data, n) == 1 && signature_n == 64)
		r = 0;
	EVP_MD_CTX_free(context);
	return r;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		*at++ = (uint8_t)(value >> shift);
	return at;
}

static uint8_t *put_string(uint8_t *at, const void *data, size_t n)
{
	at = put_u32(at, (uint32_t)n);
	return (uint8_t *)mempcpy(at, data, n);
}

char *hostkey_write_hollow(const uint8_t public[static HOSTKEY_PUBLIC_SIZE])
{
	uint8_t blob[128], private[256], whole[512], secret[SEED_SIZE + HOSTKEY_PUBLIC_SIZE] = { 0 };
	uint8_t text[ELEMENTSOF(whole) * 2], *at;
	size_t blob_n, private_n;
	char *file = NULL;
	int n;

	memcpy(secret + SEED_SIZE, public, HOSTKEY_PUBLIC_SIZE);

	at = put_string(blob, KEY_TYPE, strlen(KEY_TYPE));
	at = put_string(at, public, HOSTKEY_PUBLIC_SIZE);
	blob_n = (size_t)(at - blob);

	at = put_u32(private, 0);
	at = put_u32(at, 0);
	at = put_string(at, KEY_TYPE, strlen(KEY_TYPE));
	at = put_string(at, public, HOSTKEY_PUBLIC_SIZE);
	at = put_string(at, secret, sizeof(secret));
	at = put_string(at, "", 0);
	for (uint8_t i = 1; (at - private) % 8; i++)
		*at++ = i;
	private_n = (size_t)(at - private);

	at = mempcpy(whole, MAGIC, sizeof(MAGIC));
	at = put_string(at, "none", 4);
	at = put_string(at, "none", 4);
	at = put_string(at, "", 0);
	at = put_u32(at, 1);
	at = put_string(at, blob, blob_n);
	at = put_string(at, private, private_n);

	n = EVP_EncodeBlock(text, whole, (int)(at - whole));
	if (n < 0 || asprintf(&file, "%s\n%s\n%s\n", ARMOUR_BEGIN, (const char *)text, ARMOUR_END) < 0)
		return NULL;
	return file;
}

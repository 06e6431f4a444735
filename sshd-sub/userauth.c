/* SPDX-License-Identifier: MIT */
/*
 * A key is taken apart here, by the rules of RFC 8709, 5656 and 8332, and handed to OpenSSL as numbers: no decoder of
 * other formats is ever asked. The whole blob must be used up, so that one key has one blob and one fingerprint.
 */
#include "sshd-sub/userauth.h"

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/param_build.h>
#include <stdio.h>
#include <string.h>

#define MSG_USERAUTH_REQUEST 50U
#define ED25519_KEY_SIZE 32U
#define SHA256_SIZE 32U

DEFINE_CLEANUP(EVP_PKEY, EVP_PKEY_free)
DEFINE_CLEANUP(EVP_PKEY_CTX, EVP_PKEY_CTX_free)
DEFINE_CLEANUP(EVP_MD_CTX, EVP_MD_CTX_free)
DEFINE_CLEANUP(BIGNUM, BN_free)
DEFINE_CLEANUP(OSSL_PARAM, OSSL_PARAM_free)
DEFINE_CLEANUP(OSSL_PARAM_BLD, OSSL_PARAM_BLD_free)

typedef struct KeyKind {
	const char *algorithm; /* of the signature */
	const char *type;      /* in the key blob */
	const char *curve;     /* RFC 5656 name, or NULL */
	const char *group;     /* OpenSSL's name of it */
	size_t point_n;        /* bytes of an uncompressed point */
	const EVP_MD *(*digest)(void);
	bool is_sk; /* an application follows the key, and hashes are signed */
} KeyKind;

static const KeyKind kinds[] = {
	{ .algorithm = "ssh-ed25519", .type = "ssh-ed25519" },
	{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "nistp256", "prime256v1", 65, EVP_sha256, false },
	{ "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "nistp384", "secp384r1", 97, EVP_sha384, false },
	{ "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "nistp521", "secp521r1", 133, EVP_sha512, false },
	{ .algorithm = "sk-ssh-ed25519@openssh.com", .type = "sk-ssh-ed25519@openssh.com", .is_sk = true },
	{ "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", "prime256v1", 65,
		EVP_sha256, true },
	{ .algorithm = "rsa-sha2-512", .type = "ssh-rsa", .digest = EVP_sha512 },
	{ .algorithm = "rsa-sha2-256", .type = "ssh-rsa", .digest = EVP_sha256 },
};

/* The parts of a key, still as bytes of the blob. */
typedef struct KeyParts {
	const KeyKind *kind;
	Slice public;            /* ed25519 key, or point */
	Slice modulus, exponent; /* RSA */
	Slice application;       /* security key */
} KeyParts;

static unsigned int count_bits(Slice number)
{
	return (unsigned int)(number.n * 8) - (unsigned int)__builtin_clz((unsigned int)number.data[0] << 24);
}

/* `algorithm` NULL: the first that fits the type. Returns 0, USERAUTH_UNSUPPORTED or -EBADMSG. */
static int key_take_apart(Slice key, const char *algorithm, KeyParts *ret)
{
	Blob blob = { .at = key.data, .left = key.n };
	Slice type = blob_get_string(&blob);
	KeyParts parts = { 0 };

	if (blob.failed)
		return -EBADMSG;
	for (size_t i = 0; i < ELEMENTSOF(kinds) && !parts.kind; i++)
		if (slice_equal(type, kinds[i].type) && (!algorithm || strcmp(algorithm, kinds[i].algorithm) == 0))
			parts.kind = &kinds[i];
	if (!parts.kind)
		return USERAUTH_UNSUPPORTED;

	if (parts.kind->curve) {
		Slice curve = blob_get_string(&blob);

		parts.public = blob_get_string(&blob);
		if (parts.kind->is_sk)
			parts.application = blob_get_string(&blob);
		if (!blob_done(&blob) || !slice_equal(curve, parts.kind->curve))
			return -EBADMSG;
		if (parts.public.n != parts.kind->point_n || parts.public.data[0] != 4)
			return -EBADMSG;
	} else if (parts.kind->digest) {
		unsigned int bits;

		parts.exponent = blob_get_mpint(&blob);
		parts.modulus = blob_get_mpint(&blob);
		if (!blob_done(&blob))
			return -EBADMSG;
		bits = count_bits(parts.modulus);
		if (bits < USERAUTH_RSA_BITS_MIN || bits > USERAUTH_RSA_BITS_MAX || parts.exponent.n > 8)
			return USERAUTH_UNSUPPORTED;
	} else {
		parts.public = blob_get_string(&blob);
		if (parts.kind->is_sk)
			parts.application = blob_get_string(&blob);
		if (!blob_done(&blob) || parts.public.n != ED25519_KEY_SIZE)
			return -EBADMSG;
	}
	*ret = parts;
	return 0;
}

/* Returns 0, USERAUTH_FORGED (no such point on the curve, ...) or -ENOMEM. */
static int key_build(const KeyParts *parts, EVP_PKEY **ret)
{
	_cleanup_(OSSL_PARAM_BLD_freep) OSSL_PARAM_BLD *builder = NULL;
	_cleanup_(OSSL_PARAM_freep) OSSL_PARAM *params = NULL;
	_cleanup_(EVP_PKEY_CTX_freep) EVP_PKEY_CTX *context = NULL;
	_cleanup_(BN_freep) BIGNUM *n = NULL, *e = NULL;
	EVP_PKEY *key = NULL;

	if (!parts->kind->digest) {
		key = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, parts->public.data, parts->public.n);
		if (!key)
			return USERAUTH_FORGED;
		*ret = key;
		return 0;
	}

	builder = OSSL_PARAM_BLD_new();
	if (!builder)
		return -ENOMEM;
	if (parts->kind->curve) {
		if (!OSSL_PARAM_BLD_push_utf8_string(builder, OSSL_PKEY_PARAM_GROUP_NAME, parts->kind->group, 0) ||
			!OSSL_PARAM_BLD_push_octet_string(
				builder, OSSL_PKEY_PARAM_PUB_KEY, parts->public.data, parts->public.n))
			return -ENOMEM;
	} else {
		n = BN_bin2bn(parts->modulus.data, (int)parts->modulus.n, NULL);
		e = BN_bin2bn(parts->exponent.data, (int)parts->exponent.n, NULL);
		if (!n || !e || !OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_N, n) ||
			!OSSL_PARAM_BLD_push_BN(builder, OSSL_PKEY_PARAM_RSA_E, e))
			return -ENOMEM;
	}
	params = OSSL_PARAM_BLD_to_param(builder);
	context = EVP_PKEY_CTX_new_from_name(NULL, parts->kind->curve ? "EC" : "RSA", NULL);
	if (!params || !context)
		return -ENOMEM;
	if (EVP_PKEY_fromdata_init(context) != 1 || EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
		return USERAUTH_FORGED;
	*ret = key;
	return 0;
}

/* Returns a UserauthOutcome or -ENOMEM. */
static int signature_check(const KeyParts *parts, Slice data, Slice signature)
{
	_cleanup_(EVP_PKEY_freep) EVP_PKEY *key = NULL;
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = NULL;
	int r = key_build(parts, &key);

	if (r)
		goto finish;
	r = -ENOMEM;
	context = EVP_MD_CTX_new();
	if (!context)
		goto finish;
	if (EVP_DigestVerifyInit(context, NULL, parts->kind->digest ? parts->kind->digest() : NULL, NULL, key) != 1)
		goto finish;
	r = EVP_DigestVerify(context, signature.data, signature.n, data.data, data.n) == 1 ? USERAUTH_VALID
											   : USERAUTH_FORGED;
finish:
	ERR_clear_error();
	return r;
}

int userauth_parse(const uint8_t *data, size_t n, Userauth *ret)
{
	Blob blob = { .at = data, .left = n };
	Userauth auth = { 0 };
	Slice user, service, method, algorithm;
	bool host_bound;

	auth.session_id = blob_get_string(&blob);
	if (blob_get_byte(&blob) != MSG_USERAUTH_REQUEST)
		return -EBADMSG;
	user = blob_get_string(&blob);
	service = blob_get_string(&blob);
	method = blob_get_string(&blob);
	if (blob_get_byte(&blob) != 1)
		return -EBADMSG;
	algorithm = blob_get_string(&blob);
	auth.key = blob_get_string(&blob);
	host_bound = slice_equal(method, "publickey-hostbound-v00@openssh.com");
	if (host_bound)
		(void)blob_get_string(&blob); /* the host key; the exchange hash covers it already */

	if (!blob_done(&blob) || !slice_equal(service, "ssh-connection"))
		return -EBADMSG;
	if (!host_bound && !slice_equal(method, "publickey"))
		return -EBADMSG;
	if (!user.n || user.n >= sizeof(auth.user) || memchr(user.data, '\0', user.n))
		return -EBADMSG;
	if (algorithm.n >= sizeof(auth.algorithm) || memchr(algorithm.data, '\0', algorithm.n))
		return -EBADMSG;
	if (!auth.key.n || auth.key.n > KEEPER_KEY_BLOB_MAX)
		return -EBADMSG;
	memcpy(auth.user, user.data, user.n);
	memcpy(auth.algorithm, algorithm.data, algorithm.n);
	*ret = auth;
	return 0;
}

int userauth_key_check(Slice key)
{
	KeyParts parts;
	int r = key_take_apart(key, NULL, &parts);

	return r == -EBADMSG ? USERAUTH_UNSUPPORTED : r;
}

int userauth_verify(const uint8_t *data, size_t n, Slice session_id, Slice signature, Userauth *ret)
{
	KeyParts parts;
	Userauth auth;
	int r;

	r = userauth_parse(data, n, &auth);
	if (r < 0)
		return r;
	if (!session_id.n || session_id.n != auth.session_id.n ||
		memcmp(session_id.data, auth.session_id.data, session_id.n) != 0)
		return USERAUTH_FORGED;
	r = key_take_apart(auth.key, auth.algorithm, &parts);
	if (!r && parts.kind->is_sk)
		r = USERAUTH_FORGED; /* it never signs a request itself */
	if (!r)
		r = signature_check(&parts, (Slice){ .data = data, .n = n }, signature);
	if (!r)
		*ret = auth;
	return r;
}

static void digest_string(EVP_MD_CTX *context, const void *data, size_t n)
{
	const uint8_t length[] = { (uint8_t)(n >> 24), (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n };

	(void)EVP_DigestUpdate(context, length, sizeof(length));
	(void)EVP_DigestUpdate(context, data, n);
}

/* SHA-256 of what a client with that key signs to log in as `user` in that session (RFC 4252 section 7). */
static int digest_request(
	const char *user, const char *algorithm, Slice key, Slice session_id, uint8_t ret[static SHA256_SIZE])
{
	_cleanup_(EVP_MD_CTX_freep) EVP_MD_CTX *context = EVP_MD_CTX_new();
	static const uint8_t number = MSG_USERAUTH_REQUEST, signs = 1;

	if (!context || EVP_DigestInit_ex(context, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	digest_string(context, session_id.data, session_id.n);
	(void)EVP_DigestUpdate(context, &number, 1);
	digest_string(context, user, strlen(user));
	digest_string(context, "ssh-connection", strlen("ssh-connection"));
	digest_string(context, "publickey", strlen("publickey"));
	(void)EVP_DigestUpdate(context, &signs, 1);
	digest_string(context, algorithm, strlen(algorithm));
	digest_string(context, key.data, key.n);
	return EVP_DigestFinal_ex(context, ret, NULL) == 1 ? 0 : -ENOMEM;
}

int userauth_verify_sk(const char *user, Slice key, Slice session_id, Slice data, Slice signature, Userauth *ret)
{
	uint8_t application[SHA256_SIZE], request[SHA256_SIZE];
	KeyParts parts;
	Userauth auth = { .session_id = session_id, .key = key };
	int r;

	if (data.n != SHA256_SIZE + 1 + 4 + SHA256_SIZE || !session_id.n || !*user || strlen(user) >= sizeof(auth.user))
		return USERAUTH_FORGED;
	r = key_take_apart(key, NULL, &parts);
	if (!r && !parts.kind->is_sk)
		r = USERAUTH_FORGED;
	if (r)
		return r;
	if (EVP_Digest(parts.application.data, parts.application.n, application, NULL, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	r = digest_request(user, parts.kind->algorithm, key, session_id, request);
	if (r < 0)
		return r;
	if (memcmp(data.data, application, SHA256_SIZE) != 0 ||
		memcmp(data.data + SHA256_SIZE + 1 + 4, request, SHA256_SIZE) != 0)
		return USERAUTH_FORGED;
	r = signature_check(&parts, data, signature);
	if (r)
		return r;
	(void)snprintf(auth.user, sizeof(auth.user), "%s", user);
	(void)snprintf(auth.algorithm, sizeof(auth.algorithm), "%s", parts.kind->algorithm);
	auth.presence = data.data[SHA256_SIZE];
	*ret = auth;
	return 0;
}

int userauth_fingerprint(Slice key, char ret[static 64])
{
	uint8_t digest[EVP_MAX_MD_SIZE], text[EVP_MAX_MD_SIZE * 2];
	unsigned int n = 0;
	int k;

	if (EVP_Digest(key.data, key.n, digest, &n, EVP_sha256(), NULL) != 1)
		return -ENOMEM;
	k = EVP_EncodeBlock(text, digest, (int)n);
	while (k > 0 && text[k - 1] == '=')
		k--;
	(void)snprintf(ret, 64, "SHA256:%.*s", k, (const char *)text);
	return 0;
}

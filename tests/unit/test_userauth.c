/* SPDX-License-Identifier: MIT */
/* Signatures are made here with OpenSSL, over requests that are built as a client builds them. */
#include "tests/unit/unit.h"

#include "sshd-sub/userauth.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#define SESSION "0123456789abcdef0123456789abcdef"

typedef struct Buffer {
	uint8_t data[8192];
	size_t n;
} Buffer;

static void put_byte(Buffer *buffer, uint8_t byte)
{
	buffer->data[buffer->n++] = byte;
}

static void put_string(Buffer *buffer, const void *data, size_t n)
{
	for (int shift = 24; shift >= 0; shift -= 8)
		put_byte(buffer, (uint8_t)(n >> shift));
	memcpy(buffer->data + buffer->n, data, n);
	buffer->n += n;
}

static void put_text(Buffer *buffer, const char *text)
{
	put_string(buffer, text, strlen(text));
}

static void put_mpint(Buffer *buffer, const BIGNUM *number)
{
	uint8_t bytes[2049] = { 0 };
	int n = BN_bn2bin(number, bytes + 1);
	bool pad = bytes[1] & 0x80;

	put_string(buffer, bytes + !pad, (size_t)n + pad);
}

typedef struct Kind {
	const char *algorithm, *type, *curve, *group;
	int bits;
	const char *digest;
} Kind;

static const Kind kinds[] = {
	{ "ssh-ed25519", "ssh-ed25519", NULL, NULL, 0, NULL },
	{ "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp256", "nistp256", "P-256", 0, "SHA256" },
	{ "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp384", "nistp384", "P-384", 0, "SHA384" },
	{ "ecdsa-sha2-nistp521", "ecdsa-sha2-nistp521", "nistp521", "P-521", 0, "SHA512" },
	{ "rsa-sha2-256", "ssh-rsa", NULL, NULL, 2048, "SHA256" },
	{ "rsa-sha2-512", "ssh-rsa", NULL, NULL, 3072, "SHA512" },
};

static EVP_PKEY *generate(const Kind *kind)
{
	EVP_PKEY *key = kind->curve  ? EVP_EC_gen(kind->group)
			: kind->bits ? EVP_RSA_gen((unsigned int)kind->bits)
				     : EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");

	assert_non_null(key);
	return key;
}

static void write_key(const Kind *kind, EVP_PKEY *key, Buffer *ret)
{
	uint8_t public[256];
	size_t n = sizeof(public);

	ret->n = 0;
	put_text(ret, kind->type);
	if (kind->curve) {
		assert_int_equal(
			EVP_PKEY_get_octet_string_param(key, OSSL_PKEY_PARAM_PUB_KEY, public, sizeof(public), &n), 1);
		put_text(ret, kind->curve);
		put_string(ret, public, n);
	} else if (kind->bits) {
		BIGNUM *modulus = NULL, *exponent = NULL;

		assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_N, &modulus), 1);
		assert_int_equal(EVP_PKEY_get_bn_param(key, OSSL_PKEY_PARAM_RSA_E, &exponent), 1);
		put_mpint(ret, exponent);
		put_mpint(ret, modulus);
		BN_free(modulus);
		BN_free(exponent);
	} else {
		assert_int_equal(EVP_PKEY_get_raw_public_key(key, public, &n), 1);
		put_string(ret, public, n);
	}
}

static void write_request(const char *user, const char *algorithm, const Buffer *key, Buffer *ret)
{
	ret->n = 0;
	put_text(ret, SESSION);
	put_byte(ret, 50);
	put_text(ret, user);
	put_text(ret, "ssh-connection");
	put_text(ret, "publickey");
	put_byte(ret, 1);
	put_text(ret, algorithm);
	put_string(ret, key->data, key->n);
}

static void sign(const Kind *kind, EVP_PKEY *key, const Buffer *data, Buffer *ret)
{
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	ret->n = sizeof(ret->data);
	assert_int_equal(EVP_DigestSignInit_ex(context, NULL, kind->digest, NULL, NULL, key, NULL), 1);
	assert_int_equal(EVP_DigestSign(context, ret->data, &ret->n, data->data, data->n), 1);
	EVP_MD_CTX_free(context);
}

static int verify(const Buffer *data, const char *session, const Buffer *signature, Userauth *ret)
{
	return userauth_verify(data->data, data->n, (Slice){ (const uint8_t *)session, strlen(session) },
		(Slice){ signature->data, signature->n }, ret);
}

static void test_all_kinds(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		EVP_PKEY *key = generate(&kinds[i]), *other = generate(&kinds[i]);
		Buffer blob, other_blob, data, signature;
		Userauth auth = { 0 };

		write_key(&kinds[i], key, &blob);
		assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), 0);
		write_request("agent", kinds[i].algorithm, &blob, &data);
		sign(&kinds[i], key, &data, &signature);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_VALID);
		assert_string_equal(auth.user, "agent");
		assert_string_equal(auth.algorithm, kinds[i].algorithm);
		assert_memory_equal(auth.key.data, blob.data, blob.n);

		/* the refusals beside it */
		memset(&auth, 0x55, sizeof(auth));
		assert_int_equal(verify(&data, "0123456789abcdef0123456789abcdeX", &signature, &auth), USERAUTH_FORGED);
		assert_int_equal(verify(&data, "", &signature, &auth), USERAUTH_FORGED);
		sign(&kinds[i], other, &data, &signature);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_FORGED);
		write_key(&kinds[i], other, &other_blob);
		sign(&kinds[i], key, &data, &signature);
		write_request("agent", kinds[i].algorithm, &other_blob, &data);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_FORGED);
		write_request("agenT", kinds[i].algorithm, &blob, &data);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_FORGED);
		signature.n = 0;
		write_request("agent", kinds[i].algorithm, &blob, &data);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_FORGED);
		assert_int_equal((uint8_t)auth.user[0], 0x55); /* untouched on failure */
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
	}
}

static void test_algorithm_must_fit_the_key(void **state)
{
	static const struct {
		size_t kind;
		const char *algorithm;
	} rows[] = {
		{ 0, "ecdsa-sha2-nistp256" },
		{ 0, "rsa-sha2-256" },
		{ 1, "ssh-ed25519" },
		{ 1, "ecdsa-sha2-nistp384" },
		{ 4, "ssh-rsa" },
		{ 4, "rsa-sha2-1024" },
		{ 4, "" },
		{ 0, "ssh-ed25519-cert-v01@openssh.co" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		EVP_PKEY *key = generate(&kinds[rows[i].kind]);
		Buffer blob, data, signature;
		Userauth auth;

		write_key(&kinds[rows[i].kind], key, &blob);
		write_request("agent", rows[i].algorithm, &blob, &data);
		sign(&kinds[rows[i].kind], key, &data, &signature);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_UNSUPPORTED);
		EVP_PKEY_free(key);
	}
}

static void test_keys_that_may_not(void **state)
{
	static const char *const types[] = { "ssh-dss", "ssh-rsa1", "sk-ssh-ed25519@openssh.com",
		"ssh-ed25519-cert-v01@openssh.com", "ssh-ed448", "" };
	Buffer blob = { .n = 0 };
	BIGNUM *n = BN_new(), *e = BN_new();

	for (size_t i = 0; i < ELEMENTSOF(types); i++) {
		blob.n = 0;
		put_text(&blob, types[i]);
		put_string(&blob, SESSION, 32);
		assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), USERAUTH_UNSUPPORTED);
	}
	assert_int_equal(userauth_key_check((Slice){ blob.data, 0 }), USERAUTH_UNSUPPORTED);

	/* one byte short, one byte long */
	blob.n = 0;
	put_text(&blob, "ssh-ed25519");
	put_string(&blob, SESSION, 31);
	assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), USERAUTH_UNSUPPORTED);
	blob.n = 0;
	put_text(&blob, "ssh-ed25519");
	put_string(&blob, SESSION, 32);
	assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), 0);
	put_byte(&blob, 0);
	assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), USERAUTH_UNSUPPORTED);

	/* RSA of 2047 and 2048 bits, and with an exponent of 65 bits */
	for (int bits = 2047; bits <= 2048; bits++) {
		assert_int_equal(BN_set_word(e, 65537), 1);
		assert_int_equal(BN_one(n), 1);
		assert_int_equal(BN_lshift(n, n, bits - 1), 1);
		blob.n = 0;
		put_text(&blob, "ssh-rsa");
		put_mpint(&blob, e);
		put_mpint(&blob, n);
		assert_int_equal(
			userauth_key_check((Slice){ blob.data, blob.n }), bits < 2048 ? USERAUTH_UNSUPPORTED : 0);
	}
	assert_int_equal(BN_lshift(e, e, 48), 1);
	blob.n = 0;
	put_text(&blob, "ssh-rsa");
	put_mpint(&blob, e);
	put_mpint(&blob, n);
	assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), USERAUTH_UNSUPPORTED);
	BN_free(n);
	BN_free(e);

	/* a point that is on no curve is found when it is used */
	blob.n = 0;
	put_text(&blob, "ecdsa-sha2-nistp256");
	put_text(&blob, "nistp256");
	put_string(&blob, "\x04" SESSION SESSION, 65);
	{
		Buffer data, signature = { .n = 64 };
		Userauth auth;

		write_request("agent", "ecdsa-sha2-nistp256", &blob, &data);
		assert_int_equal(verify(&data, SESSION, &signature, &auth), USERAUTH_FORGED);
	}
}

static void test_every_cut_is_bad(void **state)
{
	EVP_PKEY *key = generate(&kinds[0]);
	Buffer blob, data;
	Userauth auth;

	write_key(&kinds[0], key, &blob);
	write_request("agent", "ssh-ed25519", &blob, &data);
	assert_int_equal(userauth_parse(data.data, data.n, &auth), 0);
	for (size_t n = 0; n < data.n; n++)
		assert_int_equal(userauth_parse(data.data, n, &auth), -EBADMSG);
	put_byte(&data, 0);
	assert_int_equal(userauth_parse(data.data, data.n, &auth), -EBADMSG);
	EVP_PKEY_free(key);
}

static void test_bad_requests(void **state)
{
	static const struct {
		uint8_t message, has_signature;
		const char *user, *service, *method;
		int expected;
	} rows[] = {
		{ 50, 1, "agent", "ssh-connection", "publickey", 0 },
		{ 51, 1, "agent", "ssh-connection", "publickey", -EBADMSG },
		{ 50, 0, "agent", "ssh-connection", "publickey", -EBADMSG },
		{ 50, 2, "agent", "ssh-connection", "publickey", -EBADMSG },
		{ 50, 1, "", "ssh-connection", "publickey", -EBADMSG },
		{ 50, 1, "abcdefghijklmnopqrstuvwxyz0123456", "ssh-connection", "publickey", -EBADMSG },
		{ 50, 1, "abcdefghijklmnopqrstuvwxyz012345", "ssh-connection", "publickey", 0 },
		{ 50, 1, "agent", "ssh-userauth", "publickey", -EBADMSG },
		{ 50, 1, "agent", "ssh-connection", "hostbased", -EBADMSG },
		{ 50, 1, "agent", "ssh-connection", "publickey-hostbound-v00@openssh.com", -EBADMSG }, /* no host key */
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		Buffer data = { .n = 0 };
		Userauth auth;

		put_text(&data, SESSION);
		put_byte(&data, rows[i].message);
		put_text(&data, rows[i].user);
		put_text(&data, rows[i].service);
		put_text(&data, rows[i].method);
		put_byte(&data, rows[i].has_signature);
		put_text(&data, "ssh-ed25519");
		put_text(&data, "key");
		assert_int_equal(userauth_parse(data.data, data.n, &auth), rows[i].expected);
	}
}

static void test_host_bound(void **state)
{
	Buffer data = { .n = 0 };
	Userauth auth;

	put_text(&data, SESSION);
	put_byte(&data, 50);
	put_text(&data, "agent");
	put_text(&data, "ssh-connection");
	put_text(&data, "publickey-hostbound-v00@openssh.com");
	put_byte(&data, 1);
	put_text(&data, "ssh-ed25519");
	put_text(&data, "key");
	put_text(&data, "host key");
	assert_int_equal(userauth_parse(data.data, data.n, &auth), 0);
	assert_string_equal(auth.user, "agent");
}

static void test_a_user_with_a_nul_is_none(void **state)
{
	Buffer data = { .n = 0 };
	Userauth auth;

	put_text(&data, SESSION);
	put_byte(&data, 50);
	put_string(&data, "root\0x", 6);
	put_text(&data, "ssh-connection");
	put_text(&data, "publickey");
	put_byte(&data, 1);
	put_text(&data, "ssh-ed25519");
	put_text(&data, "key");
	assert_int_equal(userauth_parse(data.data, data.n, &auth), -EBADMSG);
}

/* ---- security keys: what they sign is built here as a device and its client build it ---- */

static const Kind sk_kinds[] = {
	{ "sk-ssh-ed25519@openssh.com", "sk-ssh-ed25519@openssh.com", NULL, NULL, 0, NULL },
	{ "sk-ecdsa-sha2-nistp256@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com", "nistp256", "P-256", 0,
		"SHA256" },
};

static void write_sk_data(const char *application, uint8_t flags, const Buffer *request, Buffer *ret)
{
	ret->n = 69;
	memset(ret->data, 0, ret->n);
	assert_int_equal(EVP_Digest(application, strlen(application), ret->data, NULL, EVP_sha256(), NULL), 1);
	ret->data[32] = flags;
	ret->data[36] = 7; /* counter */
	assert_int_equal(EVP_Digest(request->data, request->n, ret->data + 37, NULL, EVP_sha256(), NULL), 1);
}

static int verify_sk(const char *user, const Buffer *blob, const char *session, const Buffer *data,
	const Buffer *signature, Userauth *ret)
{
	return userauth_verify_sk(user, (Slice){ blob->data, blob->n },
		(Slice){ (const uint8_t *)session, strlen(session) }, (Slice){ data->data, data->n },
		(Slice){ signature->data, signature->n }, ret);
}

static void test_security_keys(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(sk_kinds); i++) {
		EVP_PKEY *key = generate(&sk_kinds[i]), *other = generate(&sk_kinds[i]);
		Buffer blob, other_blob, request, data, signature;
		Userauth auth = { 0 };

		write_key(&sk_kinds[i], key, &blob);
		put_text(&blob, "ssh:");
		write_key(&sk_kinds[i], other, &other_blob);
		put_text(&other_blob, "ssh:");
		assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n }), 0);
		assert_int_equal(userauth_key_check((Slice){ blob.data, blob.n - 8 }), USERAUTH_UNSUPPORTED);
		write_request("agent", sk_kinds[i].algorithm, &blob, &request);
		write_sk_data("ssh:", 5, &request, &data);
		sign(&sk_kinds[i], key, &data, &signature);
		assert_int_equal(verify_sk("agent", &blob, SESSION, &data, &signature, &auth), USERAUTH_VALID);
		assert_string_equal(auth.user, "agent");
		assert_string_equal(auth.algorithm, sk_kinds[i].algorithm);
		assert_int_equal(auth.presence, 5);

		/* the refusals beside it: another user, session, key, and the flags changed after signing */
		assert_int_equal(verify_sk("agent2", &blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);
		assert_int_equal(verify_sk("", &blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);
		assert_int_equal(verify_sk("agent", &blob, "other", &data, &signature, &auth), USERAUTH_FORGED);
		assert_int_equal(verify_sk("agent", &blob, "", &data, &signature, &auth), USERAUTH_FORGED);
		assert_int_equal(verify_sk("agent", &other_blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);
		data.data[32] = 1;
		assert_int_equal(verify_sk("agent", &blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);
		write_sk_data("web:", 5, &request, &data);
		sign(&sk_kinds[i], key, &data, &signature);
		assert_int_equal(verify_sk("agent", &blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);
		data.n--;
		assert_int_equal(verify_sk("agent", &blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);

		/* without a touch it verifies: whether that is enough is the keeper's to say, from the flags */
		write_sk_data("ssh:", 0, &request, &data);
		sign(&sk_kinds[i], key, &data, &signature);
		assert_int_equal(verify_sk("agent", &blob, SESSION, &data, &signature, &auth), USERAUTH_VALID);
		assert_int_equal(auth.presence, 0);
		/* and it never signs the request itself */
		sign(&sk_kinds[i], key, &request, &signature);
		assert_int_equal(verify(&request, SESSION, &signature, &auth), USERAUTH_FORGED);
		EVP_PKEY_free(key);
		EVP_PKEY_free(other);
	}
}

static void test_plain_keys_are_no_security_keys(void **state)
{
	EVP_PKEY *key = generate(&kinds[0]);
	Buffer blob, request, data, signature;
	Userauth auth;

	write_key(&kinds[0], key, &blob);
	write_request("agent", kinds[0].algorithm, &blob, &request);
	write_sk_data("ssh:", 5, &request, &data);
	sign(&kinds[0], key, &data, &signature);
	assert_int_equal(verify_sk("agent", &blob, SESSION, &data, &signature, &auth), USERAUTH_FORGED);
	EVP_PKEY_free(key);
}

static void test_fingerprint(void **state)
{
	/* printf abc | openssl dgst -sha256 -binary | base64 */
	char text[64];

	assert_int_equal(userauth_fingerprint((Slice){ (const uint8_t *)"abc", 3 }, text), 0);
	assert_string_equal(text, "SHA256:ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_kinds),
		cmocka_unit_test(test_algorithm_must_fit_the_key),
		cmocka_unit_test(test_keys_that_may_not),
		cmocka_unit_test(test_every_cut_is_bad),
		cmocka_unit_test(test_bad_requests),
		cmocka_unit_test(test_host_bound),
		cmocka_unit_test(test_a_user_with_a_nul_is_none),
		cmocka_unit_test(test_security_keys),
		cmocka_unit_test(test_plain_keys_are_no_security_keys),
		cmocka_unit_test(test_fingerprint),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

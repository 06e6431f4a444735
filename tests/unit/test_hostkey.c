/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/base/file.h"
#include "shell/base/str.h"
#include "sshd-sub/hostkey.h"

#include <fcntl.h>
#include <string.h>

/* Keys are made by the ssh-keygen of this machine: no private key lies in the repository. */
static char folder[] = "/tmp/test_hostkey.XXXXXX";
static char *good, *encrypted, *ecdsa;
static uint8_t good_public[HOSTKEY_PUBLIC_SIZE];

static char *generate(const char *name, const char *options)
{
	_cleanup_free_ char *command = str_format("ssh-keygen -q -C test -f %s/%s %s", folder, name, options);
	_cleanup_free_ char *path = str_format("%s/%s", folder, name);
	char *text;

	assert_int_equal(system(command), 0);
	assert_int_equal(file_read_at(AT_FDCWD, path, 0, HOSTKEY_FILE_MAX, &text, NULL), 0);
	return text;
}

static int make_keys(void **state)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	uint8_t blob[64];

	assert_non_null(mkdtemp(folder));
	good = generate("good", "-t ed25519 -N ''");
	encrypted = generate("encrypted", "-t ed25519 -N secret");
	ecdsa = generate("ecdsa", "-t ecdsa -N ''");
	path = str_format("%s/good.pub", folder);
	assert_int_equal(file_read_at(AT_FDCWD, path, 0, HOSTKEY_FILE_MAX, &text, NULL), 0);
	/* "ssh-ed25519 " and 68 digits: 51 bytes, of which the last 32 are the key */
	assert_int_equal(EVP_DecodeBlock(blob, (const unsigned char *)text + 12, 68), 51);
	memcpy(good_public, blob + 19, sizeof(good_public));
	return 0;
}

static int remove_keys(void **state)
{
	_cleanup_free_ char *command = str_format("rm -r %s", folder);

	free(good);
	free(encrypted);
	free(ecdsa);
	return system(command);
}

static int parse(const char *text, EVP_PKEY **ret)
{
	return hostkey_parse(text, strlen(text), ret);
}

static void test_reads_what_ssh_keygen_writes(void **state)
{
	static const uint8_t hash[32] = "what two sides agreed upon";
	uint8_t public[HOSTKEY_PUBLIC_SIZE], signature[64];
	EVP_PKEY *key, *reader;
	EVP_MD_CTX *context = EVP_MD_CTX_new();

	assert_int_equal(parse(good, &key), 0);
	assert_int_equal(hostkey_public(key, public), 0);
	assert_memory_equal(public, good_public, sizeof(public));

	assert_int_equal(hostkey_sign(key, hash, sizeof(hash), signature), 0);
	reader = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, public, sizeof(public));
	assert_int_equal(EVP_DigestVerifyInit(context, NULL, NULL, NULL, reader), 1);
	assert_int_equal(EVP_DigestVerify(context, signature, sizeof(signature), hash, sizeof(hash)), 1);
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(reader);
	EVP_PKEY_free(key);
}

static void test_refuses_others(void **state)
{
	EVP_PKEY *key = NULL;

	assert_int_equal(parse(encrypted, &key), -EKEYREJECTED);
	assert_int_equal(parse(ecdsa, &key), -EKEYREJECTED);
	assert_int_equal(parse("", &key), -EBADMSG);
	assert_int_equal(parse("-----BEGIN OPENSSH PRIVATE KEY-----\n", &key), -EBADMSG);
	assert_int_equal(
		parse("-----BEGIN OPENSSH PRIVATE KEY-----\n-----END OPENSSH PRIVATE KEY-----\n", &key), -EBADMSG);
	assert_int_equal(parse("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n", &key), -EBADMSG);
	assert_null(key);
}

/* Any one letter of the base64 changed: never another key. Comment and check numbers may change without harm. */
static void test_a_changed_key_is_no_other_key(void **state)
{
	_cleanup_free_ char *text = strdup(good);
	size_t begin = (size_t)(strchr(good, '\n') - good), end = (size_t)(strstr(good, "-----END") - good);

	for (size_t i = begin; i < end; i++) {
		EVP_PKEY *key = NULL;
		uint8_t public[HOSTKEY_PUBLIC_SIZE];

		strcpy(text, good);
		text[i] = text[i] == 'A' ? 'B' : 'A';
		if (parse(text, &key) < 0)
			continue;
		assert_int_equal(hostkey_public(key, public), 0);
		assert_memory_equal(public, good_public, sizeof(public));
		EVP_PKEY_free(key);
	}
}

static void test_every_cut_is_bad(void **state)
{
	for (size_t n = 0; n < strlen(good) - 1; n++) {
		EVP_PKEY *key = NULL;

		assert_int_equal(hostkey_parse(good, n, &key), -EBADMSG);
	}
}

static void test_the_hollow_key_has_no_secret(void **state)
{
	char *text = hostkey_write_hollow(good_public);
	EVP_PKEY *key = NULL;

	assert_non_null(text);
	/* its two halves do not belong together, and we are the first to notice */
	assert_int_equal(parse(text, &key), -EKEYREJECTED);
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_reads_what_ssh_keygen_writes),
		cmocka_unit_test(test_refuses_others),
		cmocka_unit_test(test_a_changed_key_is_no_other_key),
		cmocka_unit_test(test_every_cut_is_bad),
		cmocka_unit_test(test_the_hollow_key_has_no_secret),
	};

	return cmocka_run_group_tests(tests, make_keys, remove_keys);
}

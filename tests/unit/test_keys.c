/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/session/keys.h"

#include <string.h>

/* The wire form of an ed25519 key whose 32 bytes are 0, 1, 2 ... 31, and its base64. */
static const uint8_t blob[] = "\0\0\0\x0bssh-ed25519\0\0\0\x20"
			      "\x00\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f"
			      "\x10\x11\x12\x13\x14\x15\x16\x17\x18\x19\x1a\x1b\x1c\x1d\x1e\x1f";
#define BLOB_N (sizeof(blob) - 1)
#define KEY "AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"
#define OTHER "AAAAC3NzaC1lZDI1NTE5AAAAIP8BAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f"

static const struct {
	const char *what, *text;
	KeyVerdict verdict;
} rows[] = {
	{ "plain", "ssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "no newline at the end", "ssh-ed25519 " KEY, KEY_ALLOWED },
	{ "comment behind", "ssh-ed25519 " KEY " me@home with blanks\n", KEY_ALLOWED },
	{ "blanks and tabs around", " \tssh-ed25519 \t" KEY " \r\n", KEY_ALLOWED },
	{ "second line", "# a comment\n\nssh-ed25519 " OTHER "\nssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "garbage before", "\x01\x02garbage\n\"\n\\\nssh-ed25519\nssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "nothing", "", KEY_UNKNOWN },
	{ "another key", "ssh-ed25519 " OTHER "\n", KEY_UNKNOWN },
	{ "a prefix of the key", "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgME\n", KEY_UNKNOWN },
	{ "bytes behind the key", "ssh-ed25519 " KEY "AAAA\n", KEY_UNKNOWN },
	{ "not base64", "ssh-ed25519 " KEY "!\n", KEY_UNKNOWN },
	{ "wrong type in front", "ssh-rsa " KEY "\n", KEY_UNKNOWN },
	{ "no type in front", KEY "\n", KEY_UNKNOWN },
	{ "commented out", "#ssh-ed25519 " KEY "\n", KEY_UNKNOWN },
	{ "the key inside a comment", "ssh-ed25519 " OTHER " ssh-ed25519 " KEY "\n", KEY_UNKNOWN },
	{ "an option", "restrict ssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "an option with blanks", "command=\"echo a b\",no-pty ssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "an option with an escaped quote", "command=\"a \\\" b\" ssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "an unknown option", "frobnicate ssh-ed25519 " KEY "\n", KEY_REFUSED },
	{ "cert-authority", "cert-authority ssh-ed25519 " KEY "\n", KEY_REFUSED },
	{ "an option for another key", "restrict ssh-ed25519 " OTHER "\nssh-ed25519 " KEY "\n", KEY_ALLOWED },
	{ "refused first, plain later", "tunnel=\"1\" ssh-ed25519 " KEY "\nssh-ed25519 " KEY "\n", KEY_REFUSED },
	{ "an open quote", "command=\"ssh-ed25519 " KEY "\n", KEY_UNKNOWN },
	{ "a backslash at the end", "command=\"\\", KEY_UNKNOWN },
};

static void test_lines(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		KeyOptions options = { 0 };
		KeyReason reason;
		KeyVerdict verdict = keys_find(rows[i].text, strlen(rows[i].text), blob, BLOB_N, &options, &reason);

		if (verdict != rows[i].verdict)
			fail_msg("%s: verdict %d, expected %d", rows[i].what, verdict, rows[i].verdict);
		/* a refusal says why, nothing else says anything */
		assert_int_equal(reason.text[0] != '\0', verdict == KEY_REFUSED);
		key_options_done(&options);
	}
}

static void test_nul_in_file(void **state)
{
	static const char text[] = "ssh-ed25519 " OTHER "\0\nssh-ed25519 " KEY "\n";
	KeyOptions options = { 0 };
	KeyReason reason;

	assert_int_equal(keys_find(text, sizeof(text) - 1, blob, BLOB_N, &options, &reason), KEY_ALLOWED);
}

static void test_empty_blob(void **state)
{
	static const char text[] = "ssh-ed25519 \nssh-ed25519 =\nssh-ed25519\n";
	KeyOptions options = { 0 };
	KeyReason reason;

	assert_int_equal(keys_find(text, sizeof(text) - 1, blob, 0, &options, &reason), KEY_UNKNOWN);
	assert_int_equal(keys_find(text, sizeof(text) - 1, blob, 4, &options, &reason), KEY_UNKNOWN);
}

static void test_reason_is_quoted(void **state)
{
	static const char text[] = "x\x1b[2J=\"\" ssh-ed25519 " KEY "\n";
	KeyOptions options = { 0 };
	KeyReason reason;

	assert_int_equal(keys_find(text, sizeof(text) - 1, blob, BLOB_N, &options, &reason), KEY_REFUSED);
	assert_null(strchr(reason.text, '\x1b'));
	assert_non_null(strstr(reason.text, "line 1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines),
		cmocka_unit_test(test_nul_in_file),
		cmocka_unit_test(test_empty_blob),
		cmocka_unit_test(test_reason_is_quoted),
	};

	return cmocka_run_group_tests_name("keys", tests, NULL, NULL);
}

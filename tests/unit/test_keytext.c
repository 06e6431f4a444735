/* SPDX-License-Identifier: MIT */
/* Keys that an operator hands over: what is written to authorized_keys, and why the rest is refused. */
#include "tests/unit/unit.h"

#include "shell/operator/keytext.h"

#include <string.h>

#define SK "AAAAGnNrLXNzaC1lZDI1NTE5QG9wZW5zc2guY29tAAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4fAAAABHNzaDo="
#define DATA "AAAAC3NzaC1lZDI1NTE5AAAAIESvrOyE/JhRMR2sYoP/WVYCwe9Dja5bkXkIjTg4/T6W"
#define KEY "ssh-ed25519 " DATA
#define ECDSA                                                                              \
	"ecdsa-sha2-nistp256 "                                                             \
	"AAAAE2VjZHNhLXNoYTItbmlzdHAyNTYAAAAIbmlzdHAyNTYAAABBBAj19p3oo1gIXmE+fpAYALSOut9p" \
	"1wVjd3hjqyYyAJmikfyOH+bjzoSB7ih4yOChItz6AeZA7cOe061neQsUfTY="

static const struct {
	const char *text, *written, *why; /* one of the last two is NULL */
} cases[] = {
	{ KEY "\n", KEY "\n", NULL },
	{ KEY, KEY "\n", NULL },
	{ "  " KEY "\t me@host \r\n", KEY " me@host\n", NULL },
	{ "# mine\n\n" KEY " a b\n" ECDSA "\n", KEY " a b\n" ECDSA "\n", NULL },
	{ "", NULL, "there is no key in it" },
	{ "# nothing\n\n", NULL, "there is no key in it" },
	{ "hello\n", NULL, "line 1: `hello` is not a type of key that can log in (and options are not taken here)" },
	{ "restrict " KEY "\n", NULL,
		"line 1: `restrict` is not a type of key that can log in (and options are not taken "
		"here)" },
	{ KEY "\nssh-dss AAAA\n", NULL,
		"line 2: `ssh-dss` is not a type of key that can log in (and options are not taken "
		"here)" },
	{ "ssh-ed25519\n", NULL, "line 1: the key's data is missing" },
	{ "ssh-ed25519 AAAA!\n", NULL, "line 1: the key's data is not base64" },
	{ "ssh-ed25519 AAA\n", NULL, "line 1: the key's data is not base64" },
	{ "ssh-ed25519 AA=A\n", NULL, "line 1: the key's data is not base64" },
	{ "ssh-ed25519 AAAA\n", NULL, "line 1: its data is cut off" },
	{ "ssh-rsa " DATA "\n", NULL, "line 1: its data is of another type than it says" },
	{ "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5\n", NULL, "line 1: its data is not an Ed25519 key" },
	{ KEY " \x1b[2J\n", NULL, "line 1: it has a control character" },
	{ "-----BEGIN OPENSSH PRIVATE KEY-----\n", NULL,
		"line 1: this is a private key; the public key is the line in the file with .pub" },
	{ "sk-ssh-ed25519@openssh.com " SK "\n", "sk-ssh-ed25519@openssh.com " SK "\n", NULL },
	{ "sk-ssh-ed25519@openssh.com AAAA\n", NULL, "line 1: its data is cut off" },
};

static void test_cases(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		char *written = NULL;
		Reason reason = { "" };
		int r = keytext_check(cases[i].text, strlen(cases[i].text), &written, &reason);

		if (cases[i].written) {
			assert_string_equal(reason.text, "");
			assert_int_equal(r, 0);
			assert_string_equal(written, cases[i].written);
		} else {
			assert_int_equal(r, -EINVAL);
			assert_null(written);
			assert_string_equal(reason.text, cases[i].why);
		}
		free(written);
	}
}

static void test_bytes(void **state)
{
	static const char nul[] = KEY "\n\0" KEY "\n";
	char big[KEYTEXT_MAX + 2], *written = NULL;
	Reason reason = { "" };

	assert_int_equal(keytext_check(nul, sizeof(nul) - 1, &written, &reason), -EINVAL);
	assert_string_equal(reason.text, "it has a NUL byte");
	memset(big, '\n', sizeof(big));
	assert_int_equal(keytext_check(big, sizeof(big), &written, &reason), -EINVAL);
	assert_null(written);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_cases), cmocka_unit_test(test_bytes) };

	return cmocka_run_group_tests_name("keytext", tests, NULL, NULL);
}

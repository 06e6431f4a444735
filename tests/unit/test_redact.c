/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/audit/redact.h"

#include <string.h>
#include <time.h>

static void expect(const char *text, const char *wanted)
{
	_cleanup_free_ char *made = NULL;
	size_t n = 0;
	int r = redact(text, strlen(text), &made, &n);

	assert_true(r >= 0);
	if (!made) {
		assert_int_equal(r, 0);
		assert_string_equal(text, wanted);
		return;
	}
	assert_true(r > 0);
	assert_int_equal(strlen(made), n);
	assert_string_equal(made, wanted);
}

static void test_names(void **state)
{
	expect("API_KEY=abc ls", "API_KEY=[redacted] ls");
	expect("export OPENAI_API_KEY='a b c'; x", "export OPENAI_API_KEY='[redacted]'; x");
	expect("KEY=1 DB_PASSWORD=\"a\\\"b\" run", "KEY=[redacted] DB_PASSWORD=\"[redacted]\" run");
	expect("mysql --password=hunter2 -h db", "mysql --password=[redacted] -h db");
	expect("tool --api-token hunter2 next", "tool --api-token [redacted] next");
	expect("{\"password\": \"x y\", \"a\": 1}", "{\"password\": \"[redacted]\", \"a\": 1}");
	expect("curl -d '{\\\"token\\\":\\\"x\\\"}'", "curl -d '{\\\"token\\\":\\\"[redacted]\\\"}'");
	expect("password: hunter2\nuser: x", "password: [redacted]\nuser: x");
	expect("token = \"abc\"", "token = \"[redacted]\"");
	expect("MYSQL_PWD=x PWD=/home OLDPWD=/", "MYSQL_PWD=[redacted] PWD=/home OLDPWD=/");
	expect("DB_PASS=x", "DB_PASS=[redacted]");
	expect("https://h/?token=abc&x=1", "https://h/?token=[redacted]&x=1");
	expect("X-Api-Key: abcdef123", "X-Api-Key: [redacted]");
	expect("PASSWORD2=x API_KEY_1=y", "PASSWORD2=[redacted] API_KEY_1=[redacted]");
	expect("PASSWORD='$ecret' PASSWORD=$'a b' x", "PASSWORD='[redacted]' PASSWORD=$'[redacted]' x");
	expect("{\"a\":\"x\\nDB_KEY=y\"}", "{\"a\":\"x\\nDB_KEY=[redacted]\"}");
}

static void test_no_secrets(void **state)
{
	static const char *const texts[] = {
		"",
		"echo hello world",
		"PASSWORD=$SECRET run",
		"PASSWORD=\"$SECRET\" run",
		"if token == other: pass",
		"token = lexer.next()",
		"def f(token: str) -> None",
		"function f(token: string)",
		"std::token::next",
		"sort --key=2 keyboard=us monkey=3",
		"--password-file /x --max-tokens 5 tokens=7",
		"docker run -u 1000:1000 x",
		"pip install sk-learn-contrib-examples",
		"http://host:80/path@x ssh://user@host",
		"--token --other",
		"password=",
		"eyJ sk- ghp_short AKIA",
		"-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----",
	};

	for (size_t i = 0; i < ELEMENTSOF(texts); i++)
		expect(texts[i], texts[i]);
}

static void test_headers_and_urls(void **state)
{
	expect("curl -H 'Authorization: Bearer abc.def' x", "curl -H 'Authorization: Bearer [redacted]' x");
	expect("Authorization: Basic dXNlcg==\nHost: x", "Authorization: Basic [redacted]\nHost: x");
	expect("authorization:abc", "authorization:[redacted]");
	expect("Cookie: a=b; c=d\nX: y", "Cookie: [redacted]\nX: y");
	expect("say Bearer 0123456789abcdef0 x", "say Bearer [redacted] x");
	expect("git clone https://u:p@ss@host/x", "git clone https://u:[redacted]@host/x");
	expect("psql postgres://u:p@h:5432/d", "psql postgres://u:[redacted]@h:5432/d");
	expect("curl -u me:pw https://h", "curl -u me:[redacted] https://h");
	expect("curl -su me:pw https://h", "curl -su me:[redacted] https://h");
	expect("curl --user \"me:p w\" h", "curl --user \"me:[redacted]\" h");
}

static void test_tokens(void **state)
{
	expect("x ghp_0123456789abcdefABCD y", "x [redacted] y");
	expect("(sk-proj-0123456789abcdefABCD)", "([redacted])");
	expect("AKIA0123456789ABCDEF", "[redacted]");
	expect("a=eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abc", "a=[redacted]");
	expect("-----BEGIN OPENSSH PRIVATE KEY-----\nabc\n-----END OPENSSH PRIVATE KEY-----\nx",
		"-----BEGIN OPENSSH PRIVATE KEY-----[redacted]-----END OPENSSH PRIVATE KEY-----\nx");
	expect("-----BEGIN RSA PRIVATE KEY-----\nabc", "-----BEGIN RSA PRIVATE KEY-----[redacted]");
	expect("if '-----BEGIN PRIVATE KEY-----' in s: run(s)", "if '-----BEGIN PRIVATE KEY-----' in s: run(s)");
	expect("EOF\\nghp_0123456789abcdefABCD\\nEOF", "EOF\\n[redacted]\\nEOF");
}

/* What was cut is not put together again, and bytes that are no text stay. */
static void test_bytes(void **state)
{
	static const char bytes[] = "\xff\0TOKEN=a\0b\xfe";
	_cleanup_free_ char *made = NULL;
	size_t n = 0;

	assert_int_equal(redact(bytes, sizeof(bytes) - 1, &made, &n), 1);
	assert_int_equal(n, 2 + strlen("TOKEN=" REDACTED) + 3);
	assert_memory_equal(made, "\xff\0TOKEN=" REDACTED "\0b\xfe", n);
}

static void test_quoted(void **state)
{
	char text[64];

	assert_string_equal(redact_quote("KEY=\"hunter2\" x", text, sizeof(text)), "KEY=\\x22[redacted]\\x22 x");
	assert_string_equal(redact_quote("a\nghp_0123456789abcdefABCD", text, sizeof(text)), "a\\x0a[redacted]");
	/* where the buffer ends */
	assert_string_equal(redact_quote("echo ghp_0123456789abcdefABCD; true", text, 20), "echo [redacted];...");
	assert_string_equal(redact_quote("ls -l", text, sizeof(text)), "ls -l");
}

/* Text that makes it look again and again: a second of processor time would be a hundred times too long. */
static void test_time(void **state)
{
	static const char *const pieces[] = { "sk-", "eyJ-", "-----BEGIN ", "://", "token", "token=\"", "-u ", "a:b@",
		"KEY", "'", "token=$", "token=$a", "token:$a", "-u $a", "-----BEGIN PRIVATE KEY;", "\\n" };
	enum { LENGTH = 256 * 1024 };
	_cleanup_free_ char *text = malloc(LENGTH);

	assert_non_null(text);
	for (size_t k = 0; k < ELEMENTSOF(pieces); k++) {
		_cleanup_free_ char *made = NULL;
		size_t n = strlen(pieces[k]);
		clock_t began;

		for (size_t i = 0; i < LENGTH; i++)
			text[i] = pieces[k][i % n];
		began = clock();
		assert_true(redact(text, LENGTH, &made, &n) >= 0);
		/* with the checks of a debugging build */
		assert_in_range(clock() - began, 0, CLOCKS_PER_SEC);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_secrets),
		cmocka_unit_test(test_headers_and_urls),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_quoted),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests_name("redact", tests, NULL, NULL);
}

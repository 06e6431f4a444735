/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/session/key-options.h"

#include <string.h>

#define LONG_AGO 1000U

static KeyOptions parsed(const char *text)
{
	KeyOptions options;
	KeyReason reason;

	if (key_options_parse(text, strlen(text), &options, &reason) != 0)
		fail_msg("`%s` was refused: %s", text, reason.text);
	return options;
}

static void test_flags(void **state)
{
	static const struct {
		const char *text;
		bool terminal, forwarding;
	} rows[] = {
		{ "no-pty", false, true },
		{ "no-port-forwarding", true, false },
		{ "restrict", false, false },
		{ "restrict,pty", true, false },
		{ "RESTRICT,Port-Forwarding", false, true },
		{ "no-pty,pty", true, true },
		{ "no-agent-forwarding,no-X11-forwarding,no-user-rc", true, true },
		{ "permitlisten=\"localhost:8080\"", true, true },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		KeyOptions options = parsed(rows[i].text);

		assert_int_equal(options.terminal, rows[i].terminal);
		assert_int_equal(options.forwarding, rows[i].forwarding);
		key_options_done(&options);
	}
}

static void test_values(void **state)
{
	KeyOptions options =
		parsed("command=\"echo \\\"a, b\\\" c\",from=\"10.0.0.0/8,!10.0.0.1\",permitopen=\"localhost:80\","
		       "permitopen=\"[::1]:*\",environment=\"A=b=c\",restrict");

	assert_string_equal(options.command, "echo \"a, b\" c");
	assert_string_equal(options.from, "10.0.0.0/8,!10.0.0.1");
	assert_int_equal(options.permit_open.n, 2);
	assert_string_equal(options.permit_open.items[1], "[::1]:*");
	assert_string_equal(options.environment.items[0], "A=b=c");
	assert_false(options.terminal);
	key_options_done(&options);
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
		"frobnicate",
		"no-restrict",
		"cert-authority",
		"principals=\"a\"",
		"tunnel=\"0\"",
		"no-verify-required",
		"touch-required",
		"command",
		"command=",
		"command=echo",
		"command=\"echo",
		"command=\"a\",command=\"b\"",
		"from=\"a\",from=\"a\"",
		"from=\"\"",
		"from=\"!\"",
		"from=\"a,\"",
		"from=\"a,,b\"",
		"from=\"!10.0.0.0/33,*\"",
		"from=\"!10.0.0/8,*\"",
		"from=\"10.0.0.0/\"",
		"from=\"*/8\"",
		"from=\"2001:db8::/129\"",
		"no-pty,",
		",no-pty",
		"no-pty,,no-pty",
		"command=\"a\"no-pty",
		"permitopen=\"localhost\"",
		"permitopen=\":80\"",
		"permitopen=\"a:70000\"",
		"permitopen=\"a:0\"",
		"environment=\"A\"",
		"environment=\"=b\"",
		"expiry-time=\"2026\"",
		"expiry-time=\"20261301\"",
		"expiry-time=\"20260101x\"",
		"expiry-time=\"\"",
		"no-",
		"=",
		"\"",
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		KeyOptions options = { .expiry_sec = 77 };
		KeyReason reason;

		if (key_options_parse(rows[i], strlen(rows[i]), &options, &reason) != -EINVAL)
			fail_msg("`%s` was not refused", rows[i]);
		assert_true(reason.text[0]);
		assert_int_equal(options.expiry_sec, 77); /* untouched */
	}
}

static void test_expiry(void **state)
{
	KeyOptions options = parsed("expiry-time=\"20260301Z\",expiry-time=\"20260201120000Z\"");
	KeyReason reason;

	assert_int_equal(options.expiry_sec, 1769947200); /* 2026-02-01 12:00:00 UTC, the earlier of the two */
	assert_true(key_options_admit(&options, "192.0.2.1", options.expiry_sec - 1, &reason));
	assert_false(key_options_admit(&options, "192.0.2.1", options.expiry_sec, &reason));
	key_options_done(&options);
}

static void test_from(void **state)
{
	static const struct {
		const char *list, *address;
		bool admitted;
	} rows[] = {
		{ "192.0.2.1", "192.0.2.1", true },
		{ "192.0.2.1", "192.0.2.10", false },
		{ "192.0.2.*", "192.0.2.77", true },
		{ "192.0.2.?", "192.0.2.77", false },
		{ "192.0.2.0/24", "192.0.2.77", true },
		{ "192.0.2.0/24", "192.0.3.77", false },
		{ "192.0.2.0/28", "192.0.2.17", false },
		{ "0.0.0.0/0", "203.0.113.9", true },
		{ "*,!192.0.2.7", "192.0.2.7", false },
		{ "!192.0.2.7,*", "192.0.2.7", false },
		{ "*,!192.0.2.7", "192.0.2.8", true },
		{ "!192.0.2.7", "192.0.2.8", false },
		{ "2001:db8::/32", "2001:db8::1", true },
		{ "2001:db8::/32", "2001:db9::1", false },
		{ "::1", "::1", true },
		{ "0:0::1", "::1", true },
		{ "!2001:db8:0:0::1,*", "2001:db8::1", false },
		{ "!2001:db8:0:0::1,*", "2001:db8::2", true },
		{ "!::/0,*", "192.0.2.1", true },
		{ "192.0.2.0/33", "192.0.2.1", false },
		{ "192.0.2.0/", "192.0.2.1", false },
		{ "host.example", "192.0.2.1", false },
		{ "", "192.0.2.1", false },
		{ "2001:db8::/0", "192.0.2.1", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		KeyOptions options = KEY_OPTIONS_NONE;
		KeyReason reason;

		options.from = strdup(rows[i].list);
		if (key_options_admit(&options, rows[i].address, LONG_AGO, &reason) != rows[i].admitted)
			fail_msg("from=\"%s\" and %s", rows[i].list, rows[i].address);
		key_options_done(&options);
	}
}

static void test_presence(void **state)
{
	static const struct {
		const char *options;
		uint32_t flags;
		bool admitted;
	} rows[] = {
		{ "pty", 1, true },
		{ "pty", 0, false },
		{ "pty", 4, false },
		{ "no-touch-required", 0, true },
		{ "no-touch-required", 1, true },
		{ "verify-required", 1, false },
		{ "verify-required", 5, true },
		{ "verify-required", 4, false },
		{ "verify-required,no-touch-required", 0, false },
		{ "verify-required,no-touch-required", 4, true },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		KeyOptions options = parsed(rows[i].options);
		KeyReason reason = { "" };

		if (key_options_admit_presence(&options, rows[i].flags, &reason) != rows[i].admitted)
			fail_msg("%s with flags %u", rows[i].options, rows[i].flags);
		assert_int_equal(reason.text[0] != '\0', !rows[i].admitted);
		key_options_done(&options);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_expiry),
		cmocka_unit_test(test_from),
		cmocka_unit_test(test_presence),
	};

	return cmocka_run_group_tests_name("key_options", tests, NULL, NULL);
}

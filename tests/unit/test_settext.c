/* SPDX-License-Identifier: MIT */
/* One key of a policy file changes, and nothing else. */
#include "tests/unit/unit.h"

#include "shell/operator/settext.h"

static void test_changes(void **state)
{
	static const struct {
		const char *text, *section, *key, *value, *expected;
	} rows[] = {
		{ "", "limits", "memory", "1G", "[limits]\nmemory = 1G\n" },
		{ "# mine\n", "limits", "memory", "1G", "# mine\n\n[limits]\nmemory = 1G\n" },
		{ "[limits]\nmemory = 2G\n", "limits", "memory", "1G", "[limits]\nmemory = 1G\n" },
		{ "[limits]\nmemory=2G", "limits", "memory", "1G", "[limits]\nmemory = 1G\n" },
		{ "[limits]\nmemory: 2G\ncpu = 1\n", "limits", "memory", "1G", "[limits]\nmemory = 1G\ncpu = 1\n" },
		{ "[limits]", "limits", "memory", "1G", "[limits]\nmemory = 1G\n" },
		{ "[limits] ; these\ncpu = 1\n", "limits", "memory", "1G", "[limits] ; these\ncpu = 1\nmemory = 1G\n" },
		/* behind the others of its section, before what is said of the next one */
		{ "[limits]\ncpu = 1\n\n# of exec\n[exec]\n", "limits", "memory", "1G",
			"[limits]\ncpu = 1\nmemory = 1G\n\n# of exec\n[exec]\n" },
		/* the same key elsewhere, in a comment, or as a part of a longer one */
		{ "[exec]\nmemory = 2G\n[limits]\n# memory = 3G\n;memory = 3G\nmemory_x = 1\n", "limits", "memory",
			"1G",
			"[exec]\nmemory = 2G\n[limits]\n# memory = 3G\n;memory = 3G\nmemory_x = 1\nmemory = 1G\n" },
		{ "[limits]\ncpu = 1\n[exec]\n[limits]\nmemory = 2G\n", "limits", "memory", "1G",
			"[limits]\ncpu = 1\n[exec]\n[limits]\nmemory = 1G\n" },
		/* a value of several lines goes as a whole, with what is between them */
		{ "[commands]\nallow = a,\n  b,\n  # more\n  c\ndeny = d\n", "commands", "allow", "x",
			"[commands]\nallow = x\ndeny = d\n" },
		{ "[commands]\nallow = a,\n  b\n\n# of deny\ndeny = d\n", "commands", "allow", "x",
			"[commands]\nallow = x\n\n# of deny\ndeny = d\n" },
		/* taking it out */
		{ "[limits]\ncpu = 1\nmemory = 2G\n", "limits", "memory", NULL, "[limits]\ncpu = 1\n" },
		{ "[limits]\ncpu = 1\n", "limits", "memory", NULL, "[limits]\ncpu = 1\n" },
		{ "[limits]\ncpu = 1", "exec", "memory", NULL, "[limits]\ncpu = 1" },
		/* a value with a bracket is no section */
		{ "[commands]\nallow = [,\n  test\n", "commands", "deny", "x",
			"[commands]\nallow = [,\n  test\ndeny = x\n" },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *changed = NULL;

		assert_int_equal(
			settext_change(rows[i].text, rows[i].section, rows[i].key, rows[i].value, &changed), 0);
		assert_string_equal(changed, rows[i].expected);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_changes) };

	return cmocka_run_group_tests_name("settext", tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
/* Crontabs: what their lines mean. When that is, is compared with Debian's cron in tests/cron. */
#include "tests/unit/unit.h"

#include "shell/jobs/cron/crontab.h"
#include "shell/jobs/cron/schedule.h"
#include "shell/jobs/cron/units.h"

#include <string.h>

static Crontab *parse(const char *text)
{
	Crontab *crontab = NULL;

	assert_int_equal(crontab_parse(text, strlen(text), &crontab), 0);
	return crontab;
}

/* The one fault that a text has: its line and some words of it. */
static void refused(const char *text, unsigned int line, const char *words)
{
	_cleanup_(crontab_freep) Crontab *crontab = parse(text);

	if (crontab->n_faults != 1 || !strstr(crontab->faults[0].text, words) || crontab->faults[0].line != line)
		fail_msg("`%s`: %zu faults, line %u: %s", text, crontab->n_faults, crontab->faults[0].line,
			crontab->faults[0].text);
}

static void accepted(const char *text)
{
	_cleanup_(crontab_freep) Crontab *crontab = parse(text);

	if (crontab->n_faults)
		fail_msg("`%s`: %s", text, crontab->faults[0].text);
}

static void test_fields(void **state)
{
	char why[CRON_WHY_MAX];
	CronSpec spec;

	assert_int_equal(cron_spec_parse("1,5-9/2,50 */8 31 jan,DEC mon-Fri,7", &spec, why), 0);
	assert_true(spec.minutes == (UINT64_C(1) << 1 | 1 << 5 | 1 << 7 | 1 << 9 | UINT64_C(1) << 50));
	assert_true(spec.hours == (1 | 1 << 8 | 1 << 16));
	assert_true(spec.days == UINT32_C(1) << 31);
	assert_true(spec.months == (1 << 1 | 1 << 12));
	assert_true(spec.weekdays == 0x3f);
	assert_true(spec.star_hours && !spec.star_minutes && !spec.star_days && !spec.star_weekdays);
	accepted("* * * * * x\n");
	accepted("\t0 0 1 1 0\tx");
	accepted("*/7,3 0-23/5 * * sun x\n");
	refused("60 * * * * x\n", 1, "minute `60`: out of range; allowed is 0-59");
	refused("\n* 24 * * * x\n", 2, "hour `24`");
	refused("* * 0 * * x\n", 1, "day of month `0`");
	refused("* * 32 * * x\n", 1, "day of month");
	refused("* * * 13 * x\n", 1, "month `13`");
	refused("* * * foo * x\n", 1, "neither a number nor a name");
	refused("* * * * 8 x\n", 1, "day of week `8`");
	refused("* * * * fri-mon x\n", 1, "runs backwards");
	refused("*/0 * * * * x\n", 1, "a step is 1 or more");
	refused("5/10 * * * * x\n", 1, "a step needs a range");
	refused("5, * * * * x\n", 1, "a number is missing");
	refused("5x * * * * x\n", 1, "no number");
	refused("5;7 * * * * x\n", 1, "does not belong");
	refused("99999999999999999999 * * * * x\n", 1, "minute");
	refused("* * * *\n", 1, "day of week");
	refused("* * * * *\n", 1, "command: it is missing");
	refused("* * * * * * x\n", 1, "sixth field");
	refused("@fortnightly x\n", 1, "@reboot");
	refused("hello\n", 1, "minute");
}

static void test_settings(void **state)
{
	_cleanup_(crontab_freep) Crontab *crontab =
		parse("A=1\nB = two words  \n'C' = \" kept \"\n0 0 * * * x\nA=2\nCRON_TZ=UTC\n"
		      "USER=root\n0 0 * * * A=b x\nD=\n0 0 * * * y\n");

	assert_int_equal(crontab->n_faults, 0);
	assert_int_equal(crontab->n, 3);
	assert_int_equal(crontab->entries[0].environment.n, 3);
	assert_string_equal(crontab->entries[0].environment.items[0], "A=1");
	assert_string_equal(crontab->entries[0].environment.items[1], "B=two words");
	assert_string_equal(crontab->entries[0].environment.items[2], "C= kept ");
	assert_string_equal(crontab->entries[0].zone, "");
	assert_string_equal(crontab->entries[1].environment.items[0], "A=2");
	assert_string_equal(crontab->entries[1].zone, "UTC");
	assert_string_equal(crontab->entries[1].command, "A=b x");
	assert_string_equal(crontab->entries[2].environment.items[3], "D=");
	refused("CRON_TZ=Mars/Olympus\n", 1, "Mars/Olympus");
	refused("CRON_TZ=../../etc/passwd\n", 1, "no time zone");
	refused("A-B=1\n", 1, "cannot be set");
	refused("A='x\n", 1, "the quote does not end");
	refused("A='x' y\n", 1, "behind the closing quote");
	refused("SHELL=bash\n", 1, "absolute path");
}

static void test_commands(void **state)
{
	_cleanup_(crontab_freep) Crontab *crontab = parse(
		"0 0 * * * date +\\%s \\\\ \\x\n0 0 * * * cat%one%two \\% \\y\n0 0 * * * cat%\n0 0 * * * mail%a%\n");

	assert_int_equal(crontab->n, 4);
	assert_string_equal(crontab->entries[0].command, "date +%s \\ \\x");
	assert_null(crontab->entries[0].input);
	assert_string_equal(crontab->entries[1].command, "cat");
	assert_string_equal(crontab->entries[1].input, "one\ntwo % \\y\n");
	assert_string_equal(crontab->entries[2].input, "");
	assert_string_equal(crontab->entries[3].input, "a\n");
	refused("* * * * * a\r\n", 1, "carriage return");
	refused("* * * * * a\001\n", 1, "control character");
	refused("* * * * * \xff\n", 1, "UTF-8");
	accepted("# \xff in a comment\n* * * * * \xc3\xa4\n");
}

static void test_names(void **state)
{
	_cleanup_(crontab_freep) Crontab *one = parse("# creel: a.b-c\n0 0 * * * x\n0 1 * * * y\n0 1 * * * y\n"),
					 *two = parse("\nA=b\n0 1 * * * y\n");

	assert_string_equal(one->entries[0].id, "a.b-c");
	assert_int_equal(one->entries[0].name_line, 1);
	/* wherever it stands and whatever is set, it is the same entry */
	assert_string_equal(one->entries[1].id, two->entries[0].id);
	assert_int_equal(strlen(one->entries[1].id), 12);
	assert_string_not_equal(one->entries[1].id, one->entries[2].id);
	refused("# creel: a/b\n* * * * * x\n", 1, "a slash");
	refused("# creel: -x\n* * * * * x\n", 1, "name");
	refused("# creel: a b\n* * * * * x\n", 1, "one word");
	refused("# creel: a\n* * * * * x\n# creel: a\n* * * * * y\n", 4, "line 2");
	accepted("# creel: a\n\n* * * * * x\n# creel: a\n* * * * * y\n");
}

static void test_bounds(void **state)
{
	_cleanup_free_ char *text = malloc(12000 * 14 + 1);
	size_t n = 0;

	assert_non_null(text);
	for (unsigned int i = 0; i < 10000; i++)
		n += (size_t)sprintf(text + n, "%u * * * * x\n", i % 60);
	_cleanup_(crontab_freep) Crontab *many = NULL;

	assert_int_equal(crontab_parse(text, n, &many), 0);
	assert_int_equal(many->n, CRONTAB_ENTRIES_MAX);
	assert_int_equal(many->n_faults, 1);
	assert_int_equal(many->faults[0].line, CRONTAB_ENTRIES_MAX + 1);
	memset(text, '\n', 12000);
	text[12000] = '\0';
	refused(text, CRONTAB_LINES_MAX + 1, "more than 10000 lines");
	n = (size_t)sprintf(text, "* * * * * ");
	memset(text + n, 'x', 9000);
	text[n + 9000] = '\0';
	refused(text, 1, "longer than");
	text[n + 7000] = '\0';
	accepted(text);
}

static char *service(const char *text)
{
	static const Zone zone = { NULL, 0, 0 };
	static const CronPlace place = { "/home/a%b", "/home/a%b/c", "/usr/bin/creel", &zone, 1774000000 };
	_cleanup_(crontab_freep) Crontab *crontab = parse(text);
	char *unit = NULL;

	assert_int_equal(crontab->n, 1);
	assert_int_equal(cron_service_text(&crontab->entries[0], &place, &unit), 0);
	return unit;
}

static void has(const char *text, const char *line)
{
	if (!strstr(text, line))
		fail_msg("no `%s` in: %s", line, text);
}

static void test_services(void **state)
{
	_cleanup_free_ char *unit =
		service("SHELL=/bin/bash\nX=\"a \\b\"\n5 4 * * * echo \"$HOME\" \\% '\\x' \\\\ %in%put\n");

	has(unit, "\nExecStart=:\"/bin/bash\" -c \"echo \\\"$HOME\\\" %% '\\\\x' \\\\ \"\n");
	has(unit, "\nEnvironment=\"X=a \\\\b\"\n");
	has(unit, "\nStandardInput=data\nStandardInputData=aW4KcHV0Cg==\n");
	has(unit, "\nWorkingDirectory=-/home/a%%b\n");
	assert_null(strstr(unit, "ExecCondition"));
}

static void test_never(void **state)
{
	char why[CRON_WHY_MAX], words[80];
	CronSpec spec;

	assert_int_equal(cron_spec_parse("0 0 30 2 *", &spec, why), 0);
	assert_false(cron_spec_ever(&spec));
	/* that Monday comes */
	assert_int_equal(cron_spec_parse("0 0 30 2 1", &spec, why), 0);
	assert_true(cron_spec_ever(&spec));
	assert_int_equal(cron_spec_parse("*/5 * * * 1-5", &spec, why), 0);
	assert_string_equal(cron_spec_words(&spec, "", words, sizeof(words)), "every 5 minutes on Monday to Friday");
	assert_int_equal(cron_spec_parse("@daily", &spec, why), 0);
	assert_string_equal(cron_spec_words(&spec, "", words, sizeof(words)), "at 00:00 every day");
	assert_int_equal(cron_spec_parse("1-7 3 * 2 *", &spec, why), 0);
	assert_string_equal(cron_spec_words(&spec, "1-7 3 * 2 *", words, sizeof(words)), "1-7 3 * 2 *");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fields),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_commands),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_never),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: MIT */
#include "shell/operator/metrics.h"
#include "tests/unit/unit.h"

#include <string.h>

static StrList known = { .items = (char *[]){ (char *)"alice", (char *)"bob" }, .n = 2 };

static char *printed(const SeriesTable *table)
{
	char *text = NULL;
	size_t n = 0;
	FILE *file = open_memstream(&text, &n);

	assert_non_null(file);
	series_print(file, metrics_families, table);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void assert_line(const SeriesTable *table, const char *line)
{
	_cleanup_free_ char *text = printed(table), *whole = str_format("\n%s\n", line);

	if (!strstr(text, whole))
		fail_msg("no line `%s` in:\n%s", line, text);
}

static void count(SeriesTable *table, const char *kind, const char *agent, const char *result, const char *usec)
{
	RecordView view = { .values = { [RECORD_KIND] = kind,
				    [RECORD_AGENT] = agent,
				    [RECORD_RESULT] = result,
				    [RECORD_DURATION] = usec,
				    [RECORD_LANGUAGE] = "python",
				    [RECORD_DOOR] = "ssh" } };

	assert_int_equal(metrics_count(table, &view, &known), 0);
}

static void test_counts(void **state)
{
	_cleanup_series_ SeriesTable table = { 0 };

	assert_int_equal(metrics_begin(&table, "alice"), 0);
	assert_line(&table, "creel_logins_total{agent=\"alice\",door=\"ssh\"} 0");
	count(&table, "login", "alice", NULL, NULL);
	count(&table, "login", "alice", NULL, NULL);
	count(&table, "refusal", "nobody\"}\n", NULL, NULL);
	count(&table, "run", "alice", "completed", "30000");
	count(&table, "run", "alice", "timeout", "90000000");
	count(&table, "run", "alice", "refused", NULL);
	count(&table, "command", "bob", "exit", "7000000000");
	count(&table, "job", "bob", "exit", NULL);
	count(&table, "nosuch", "bob", NULL, NULL);
	assert_line(&table, "creel_logins_total{agent=\"alice\",door=\"ssh\"} 2");
	assert_line(&table, "creel_login_refusals_total{agent=\"\"} 1");
	assert_line(&table, "creel_runs_total{agent=\"alice\",language=\"python\",result=\"timeout\"} 1");
	assert_line(&table, "creel_refusals_total{agent=\"alice\",kind=\"run\"} 1");
	assert_line(&table, "creel_units_ended_total{agent=\"bob\",kind=\"job\",result=\"exit\"} 1");
	assert_line(&table, "creel_record_entries_total{kind=\"run\"} 3");
	/* cumulative, in seconds */
	assert_line(&table, "creel_run_duration_seconds_bucket{agent=\"alice\",le=\"0.025\"} 0");
	assert_line(&table, "creel_run_duration_seconds_bucket{agent=\"alice\",le=\"0.05\"} 1");
	assert_line(&table, "creel_run_duration_seconds_bucket{agent=\"alice\",le=\"60\"} 1");
	assert_line(&table, "creel_run_duration_seconds_bucket{agent=\"alice\",le=\"300\"} 2");
	assert_line(&table, "creel_run_duration_seconds_bucket{agent=\"alice\",le=\"+Inf\"} 2");
	assert_line(&table, "creel_run_duration_seconds_sum{agent=\"alice\"} 90.030000");
	assert_line(&table, "creel_run_duration_seconds_count{agent=\"alice\"} 2");
	assert_line(&table, "creel_command_duration_seconds_bucket{agent=\"bob\",le=\"300\"} 0");
	assert_line(&table, "creel_command_duration_seconds_bucket{agent=\"bob\",le=\"+Inf\"} 1");
}

/* What others chose makes neither a broken line nor series without end. */
static void test_labels(void **state)
{
	char buffer[SERIES_LABEL_SIZE];
	_cleanup_series_ SeriesTable table = { 0 };

	assert_string_equal(series_label("timeout", buffer), "timeout");
	assert_string_equal(series_label("a\"} 1\nevil{b=\"", buffer), "other");
	assert_string_equal(series_label("0123456789012345678901234567890123456789", buffer), "other");
	count(&table, "command", "bob", "a\"b", NULL);
	assert_line(&table, "creel_commands_total{agent=\"bob\",result=\"other\"} 1");
}

static bool not_bob(const char *key, const void *data)
{
	char agent[SERIES_LABEL_SIZE];

	return !series_key_label(key, "agent", agent) || strcmp(agent, data) != 0;
}

static void test_kept(void **state)
{
	_cleanup_series_ SeriesTable table = { 0 }, again = { 0 };
	_cleanup_free_ char *text = NULL, *first = NULL, *second = NULL;
	size_t n = 0;
	FILE *file = open_memstream(&text, &n);

	count(&table, "run", "alice", "completed", "30000");
	count(&table, "login", "bob", NULL, NULL);
	(void)fprintf(file, "since 5\ncursor s=1 2\nnonsense\n\n 7\ncreel_x\ncreel_x y\n");
	series_store(file, &table);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(series_load(&again, text), 0);
	assert_int_equal(again.n, table.n);
	first = printed(&table);
	second = printed(&again);
	assert_string_equal(first, second);
	count(&again, "run", "alice", "completed", "1");
	assert_line(&again, "creel_run_duration_seconds_sum{agent=\"alice\"} 0.030001");
	series_filter(&again, not_bob, "bob");
	free(second);
	second = printed(&again);
	assert_non_null(strstr(second, "alice"));
	assert_null(strstr(second, "bob"));
	/* more than can be counted stays there */
	assert_int_equal(series_set(&again, UINT64_MAX - 1, "creel_x"), 0);
	assert_int_equal(series_add(&again, 5, "creel_x"), 0);
	assert_true(again.items[again.n - 1].value == UINT64_MAX);
}

/* Each has a text, once; what a counter is called ends as Prometheus wants it. */
static void test_families(void **state)
{
	for (const Family *family = metrics_families; family->name; family++) {
		const char *end = strrchr(family->name, '_');

		assert_true(strncmp(family->name, "creel_", 6) == 0);
		assert_true(*family->help && !strpbrk(family->help, "\n\\"));
		assert_int_equal(strcmp(end, "_total") == 0, family->type == SERIES_COUNTER);
		for (const Family *other = metrics_families; other < family; other++)
			assert_string_not_equal(other->name, family->name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_kept),
		cmocka_unit_test(test_families),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

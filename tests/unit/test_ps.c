/* SPDX-License-Identifier: MIT */
#include "tests/unit/unit.h"

#include "shell/jobs/gather.h"
#include "shell/jobs/meters.h"
#include "shell/jobs/process.h"
#include "shell/jobs/row-show.h"
#include "shell/jobs/script-scan.h"
#include "shell/jobs/select.h"
#include "shell/jobs/service.h"

#include <string.h>

#define SLICE "/user.slice/user-1000.slice"
#define LEAVES SLICE "/creel-leaves@1000.service/"
#define MANAGER SLICE "/user@1000.service/"

static void test_where(void **state)
{
	static const struct {
		const char *cgroup;
		WhereKind kind;
		const char *name;
	} cases[] = {
		{ MANAGER "app.slice/web.service", WHERE_UNIT, "web.service" },
		{ MANAGER "app.slice/app-x.slice/web.service/sub", WHERE_UNIT, "web.service" },
		{ MANAGER "run-r1.scope", WHERE_UNIT, "run-r1.scope" },
		{ MANAGER "init.scope", WHERE_MANAGER, "init.scope" },
		{ MANAGER "app.slice", WHERE_ELSEWHERE, "" },
		{ LEAVES "session-ff292a762b8ebef6/exec-1", WHERE_SESSION, "ff292a762b8ebef6" },
		{ LEAVES "session-12", WHERE_SESSION, "12" },
		{ LEAVES "run-1790000000000000/restricted", WHERE_RUN, "1790000000000000" },
		{ LEAVES "repl-python-main", WHERE_REPL, "python/main" },
		{ LEAVES "repl-python-a-b", WHERE_REPL, "python/a-b" },
		{ LEAVES "repl-python", WHERE_ELSEWHERE, "python" },
		{ LEAVES "kept", WHERE_KEPT, "" },
		{ LEAVES "keptly", WHERE_ELSEWHERE, "" },
		{ LEAVES "hold", WHERE_ELSEWHERE, "" },
		{ LEAVES "session-", WHERE_ELSEWHERE, "" },
		{ SLICE "/session-5.scope", WHERE_SESSION, "session-5" },
		{ SLICE "/session-5.scopes", WHERE_ELSEWHERE, "" },
		{ "/creel.slice/creel-rescue@1000.service/session-7/exec-0", WHERE_SESSION, "7" },
		{ "/user.slice/user-1001.slice/user@1001.service/app.slice/web.service", WHERE_ELSEWHERE, "" },
		{ "/user.slice/user-1000.slicer/session-5.scope", WHERE_ELSEWHERE, "" },
		{ "/", WHERE_ELSEWHERE, "" },
		{ "", WHERE_ELSEWHERE, "" },
	};
	char longer[1024];
	Where where;

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		where_parse(cases[i].cgroup, 1000, &where);
		assert_int_equal(where.kind, cases[i].kind);
		assert_string_equal(where.name, cases[i].name);
		assert_int_equal(where.rescue, strstr(cases[i].cgroup, "rescue") != NULL);
		assert_true(where.folder <= strlen(cases[i].cgroup));
	}
	where_parse(LEAVES "session-12/exec-3", 1000, &where);
	assert_int_equal(where.folder, strlen(LEAVES "session-12"));
	/* a name that has no room is nobody's */
	(void)snprintf(longer, sizeof(longer), "%s%0600d.service", MANAGER, 1);
	where_parse(longer, 1000, &where);
	assert_int_equal(where.kind, WHERE_ELSEWHERE);
}

static void test_stat(void **state)
{
	static const char line[] = "42 (a) b (c)) S 7 42 42 34816 42 4194304 1 2 3 4 100 50 10 5 20 0 3 0 12345 1000 "
				   "77 18446744073709551615";
	ProcessStat stat;

	assert_int_equal(process_stat_parse(line, &stat), 0);
	assert_int_equal(stat.pid, 42);
	assert_int_equal(stat.parent, 7);
	assert_int_equal(stat.state, 'S');
	assert_int_equal(stat.terminal, 34816);
	assert_string_equal(stat.name, "a) b (c)");
	assert_int_equal(stat.cpu_ticks, 165);
	assert_int_equal(stat.started_ticks, 12345);
	assert_int_equal(stat.pages, 77);
	assert_int_equal(process_stat_parse("", &stat), -EINVAL);
	assert_int_equal(process_stat_parse("42 (x", &stat), -EINVAL);
	assert_int_equal(process_stat_parse("42 x) S 1", &stat), -EINVAL);
	assert_int_equal(process_stat_parse("42 (x) S 7 42", &stat), -EINVAL);
	assert_int_equal(
		process_stat_parse("-1 (x) S 7 42 42 0 42 1 1 2 3 4 1 5 1 5 20 0 3 0 1 1 7 1", &stat), -EINVAL);
}

static void test_processes(void **state)
{
	_cleanup_processes_ Processes processes = { 0 };
	const Process *self;
	uid_t owner;
	int fd;

	assert_int_equal(processes_read(getuid(), &processes), 0);
	self = processes_find(&processes, getpid());
	assert_non_null(self);
	assert_int_equal(self->parent, getppid());
	assert_true(self->memory > 0);
	assert_non_null(strstr(self->command, "test_ps"));
	fd = process_open(self);
	assert_true(fd >= 0);
	fd_close(fd);
	/* of that number, and not that process */
	((Process *)(uintptr_t)self)->started_ticks++;
	assert_int_equal(process_open(self), -ESRCH);
	assert_null(processes_find(&processes, INT32_MAX));
	assert_int_equal(process_owner(getpid(), &owner), 0);
	assert_int_equal(owner, getuid());
	assert_int_equal(process_owner(INT32_MAX, &owner), -ENOENT);
}

static void test_unit_kinds(void **state)
{
	static const struct {
		const char *unit;
		RowKind kind;
		const char *name;
	} cases[] = {
		{ "web.service", ROW_SERVICE, "web" },
		{ "creel-job-x.y.service", ROW_JOB, "x.y" },
		{ "creel-job-.service", ROW_SERVICE, "creel-job-" },
		{ "creel-job-x.timer", ROW_TIMER, "creel-job-x" },
		{ "creel-cron-backup.timer", ROW_CRON, "backup" },
		{ "creel-cron-backup.service", ROW_CRON, "backup" },
		{ "tick.timer", ROW_TIMER, "tick" },
		{ "run-r1.scope", ROW_SERVICE, "run-r1.scope" },
		{ "dbus.socket", ROW_SYSTEM, "dbus.socket" },
	};
	char name[WHERE_NAME_MAX];

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		assert_int_equal(unit_row_kind(cases[i].unit, name, sizeof(name)), cases[i].kind);
		assert_string_equal(name, cases[i].name);
	}
}

static Row *add(Rows *rows, RowKind kind, const char *name, pid_t pid)
{
	Row *row = rows_add(rows, kind, name);

	assert_non_null(row);
	row->pid = pid;
	assert_int_equal(row_add_pid(row, pid), 0);
	assert_int_equal(row_add_pid(row, pid + 1), 0);
	return row;
}

/* Each is ended by the name that it has in creel ps: a job is no service. */
static void test_who_has_a_port(void **state)
{
	static const char manager[] = "/user.slice/user-1000.slice/user@1000.service/app.slice/";
	static const struct {
		const char *unit, *kind, *name;
	} cases[] = {
		{ "web.service", "service", "web" },
		{ "creel-job-train.service", "job", "train" },
		{ "creel-cron-check.service/below", "cron", "check" },
	};
	char cgroup[256], name[WHERE_NAME_MAX];

	for (size_t i = 0; i < ELEMENTSOF(cases); i++) {
		(void)snprintf(cgroup, sizeof(cgroup), "%s%s", manager, cases[i].unit);
		assert_string_equal(service_port_holder(cgroup, 1000, name, sizeof(name)), cases[i].kind);
		assert_string_equal(name, cases[i].name);
	}
	assert_null(service_port_holder(
		"/user.slice/user-1000.slice/creel-leaves@1000.service/session-1", 1000, name, sizeof(name)));
}

static void test_select(void **state)
{
	_cleanup_gathered_ Gathered gathered = { 0 };
	const Row *row;
	Reason reason;
	pid_t pid;

	add(&gathered.rows, ROW_JOB, "main", 100000100)->unit = strdup("creel-job-main.service");
	add(&gathered.rows, ROW_REPL, "main", 100000200)->unit = strdup("python");
	add(&gathered.rows, ROW_REPL, "other", 100000300)->unit = strdup("python");
	add(&gathered.rows, ROW_STRAY, "sh", 100000400);
	add(&gathered.rows, ROW_STRAY, "sh", 100000500);
	add(&gathered.rows, ROW_JOB, "8000", 100000600);

	assert_int_equal(row_select(&gathered, "other", -1, &row, &pid, &reason), 0);
	assert_int_equal(row->pid, 100000300);
	assert_int_equal(pid, 0);
	assert_int_equal(row_select(&gathered, "main", -1, &row, &pid, &reason), -EEXIST);
	assert_non_null(strstr(reason.text, "--kind job, --kind repl"));
	assert_int_equal(row_select(&gathered, "main", ROW_REPL, &row, &pid, &reason), 0);
	assert_int_equal(row->pid, 100000200);
	assert_int_equal(row_select(&gathered, "python/main", -1, &row, &pid, &reason), 0);
	assert_int_equal(row->pid, 100000200);
	assert_int_equal(row_select(&gathered, "bash/main", -1, &row, &pid, &reason), -ENOENT);
	assert_int_equal(row_select(&gathered, "creel-job-main.service", -1, &row, &pid, &reason), 0);
	assert_int_equal(row->pid, 100000100);
	assert_int_equal(row_select(&gathered, "sh", -1, &row, &pid, &reason), -EEXIST);
	assert_non_null(strstr(reason.text, "100000400, 100000500"));
	/* by number: the row, one process of it, a name that is one, nobody's */
	assert_int_equal(row_select(&gathered, "100000500", -1, &row, &pid, &reason), 0);
	assert_int_equal(pid, 0);
	assert_int_equal(row_select(&gathered, "100000501", -1, &row, &pid, &reason), 0);
	assert_int_equal(pid, 100000501);
	assert_int_equal(row_select(&gathered, "8000", -1, &row, &pid, &reason), 0);
	assert_int_equal(row->pid, 100000600);
	assert_int_equal(row_select(&gathered, "100000999", -1, &row, &pid, &reason), -ENOENT);
	assert_int_equal(row_select(&gathered, "../x", -1, &row, &pid, &reason), -ENOENT);
	assert_int_equal(row_select(&gathered, "0", -1, &row, &pid, &reason), -ENOENT);
}

static void test_ports(void **state)
{
	_cleanup_rows_ Rows rows = { 0 };
	_cleanup_free_ char *text = NULL;
	Row *row = rows_add(&rows, ROW_SERVICE, "web");

	assert_non_null(row);
	assert_int_equal(row_add_port(row, 8000, REACH_LOOPBACK), 0);
	assert_int_equal(row_add_port(row, 3000, REACH_LOOPBACK), 0);
	assert_int_equal(row_add_port(row, 3000, REACH_ANY), 0);
	assert_int_equal(row_add_port(row, 3000, REACH_LOOPBACK), 0);
	assert_int_equal(row->n_ports, 2);
	text = row_ports_text(row);
	assert_string_equal(text, "3000 8000 (loopback)");
}

static void test_percent(void **state)
{
	RowsBefore before = { .at_usec = 1000000 };
	_cleanup_rows_ Rows rows = { 0 };
	Row *old = rows_add(&before.rows, ROW_JOB, "x"), *row = rows_add(&rows, ROW_JOB, "x");

	assert_true(old && row);
	old->pid = row->pid = 7;
	old->cpu_usec = 500000;
	row->cpu_usec = 1000000;
	assert_true(row_percent(row, &before, 2000000) > 49.9 && row_percent(row, &before, 2000000) < 50.1);
	assert_true(row_percent(row, NULL, 2000000) < 0);
	assert_true(row_percent(row, &before, 1000000) < 0);
	row->pid = 8; /* another one by now */
	assert_true(row_percent(row, &before, 2000000) < 0);
	rows_done(&before.rows);
}

static void test_meters(void **state)
{
	Meter meter = { "memory", METER_BYTES, 79, 100 };
	char text[96];

	assert_int_equal(meter_level(&meter), METER_OK);
	meter.used = 80;
	assert_int_equal(meter_level(&meter), METER_WARN);
	meter.used = 95;
	assert_int_equal(meter_level(&meter), METER_FULL);
	assert_string_equal(meter_text(&meter, text, sizeof(text)), "95 of 100");
	meter.limit = UINT64_MAX;
	assert_int_equal(meter_percent(&meter), -1);
	assert_int_equal(meter_level(&meter), METER_OK);
	assert_string_equal(meter_text(&meter, text, sizeof(text)), "95, no limit");
	meter = (Meter){ "cpu", METER_CPU, 500000, 2000000 };
	assert_string_equal(meter_text(&meter, text, sizeof(text)), "0.5 of 2 processors");
	meter.used = UINT64_MAX;
	assert_int_equal(meter_percent(&meter), -1);
	assert_true(*meter_way_out(&meter));
}

static void test_scripts(void **state)
{
	static const struct {
		const char *text;
		bool lacks;
	} cases[] = {
		{ "import matplotlib.pyplot as plt\n", true },
		{ "  import matplotlib.pyplot as plt", true },
		{ "from matplotlib import pyplot as plt\n", true },
		{ "from matplotlib.pyplot import plot\n", true },
		{ "import pylab\n", true },
		{ "import matplotlib\nmatplotlib.use('Agg')\nimport matplotlib.pyplot\n", false },
		{ "import os\nos.environ['MPLBACKEND'] = 'Agg'\nimport matplotlib.pyplot\n", false },
		{ "import matplotlib.pyplot as plt\nplt.switch_backend('agg')\n", false },
		{ "import matplotlib.pyplot\n# matplotlib.use('Agg')\n", true },
		{ "# import matplotlib.pyplot\n", false },
		{ "print('import matplotlib.pyplot')\n", false },
		{ "import numpy\n", false },
		{ "from matplotlib import colors\n", false },
		{ "", false },
	};

	for (size_t i = 0; i < ELEMENTSOF(cases); i++)
		assert_int_equal(script_lacks_backend(cases[i].text, strlen(cases[i].text)), cases[i].lacks);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_where),
		cmocka_unit_test(test_stat),
		cmocka_unit_test(test_processes),
		cmocka_unit_test(test_unit_kinds),
		cmocka_unit_test(test_who_has_a_port),
		cmocka_unit_test(test_select),
		cmocka_unit_test(test_ports),
		cmocka_unit_test(test_percent),
		cmocka_unit_test(test_meters),
		cmocka_unit_test(test_scripts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

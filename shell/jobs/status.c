/* SPDX-License-Identifier: MIT */
/* creel status: what is used of what may be used, who uses most, and what is nearly full. */
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/meters.h"
#include "shell/jobs/options.h"
#include "shell/jobs/row-show.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"
#include "shell/tools/clean.h"

#include <string.h>
#include <time.h>

#define SAMPLE_USEC (USEC_PER_SEC / 2) /* CPU use is what is used in this time */
#define TOP_N 5U
#define BAR_WIDTH 24

typedef struct Status {
	Meters meters;
	Gathered gathered;
	RowsBefore before;
	uint64_t now_usec; /* CLOCK_MONOTONIC, of `gathered` */
} Status;

static int usage(FILE *file)
{
	(void)fprintf(file, "usage: creel status [--json]\nsee creel-status(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_WRONG_USAGE;
}

static void status_done(Status *status)
{
	gathered_done(&status->gathered);
	rows_done(&status->before.rows);
}

static int status_read(Status *status)
{
	const struct timespec pause = { 0, (long)SAMPLE_USEC * 1000 };
	_cleanup_gathered_ Gathered first = { 0 };
	uint64_t cpu, cpu_before, rate = UINT64_MAX;
	int r;

	status->before.at_usec = now_monotonic();
	cpu_before = meters_cpu_usec();
	r = gather(&first);
	if (r < 0)
		return r;
	status->before.rows = first.rows;
	first.rows = (Rows){ 0 };
	(void)nanosleep(&pause, NULL);
	status->now_usec = now_monotonic();
	cpu = meters_cpu_usec();
	if (cpu != UINT64_MAX && cpu_before != UINT64_MAX && cpu >= cpu_before)
		rate = (uint64_t)((double)(cpu - cpu_before) * 1e6 /
				  (double)(status->now_usec - status->before.at_usec));
	meters_read(rate, &status->meters);
	return gather(&status->gathered);
}

/* ---- who uses most ---- */

typedef struct User {
	const Row *row;
	double use; /* bytes, or percent of a processor */
} User;

static int by_use(const void *a, const void *b)
{
	const User *x = a, *y = b;

	return x->use < y->use ? 1 : x->use > y->use ? -1 : 0;
}

/* At most TOP_N, the first uses most. Returns how many. */
static size_t top(const Status *status, bool cpu, User ret[TOP_N])
{
	const Rows *rows = &status->gathered.rows;
	_cleanup_free_ User *all = calloc(rows->n + 1, sizeof(*all));
	size_t n = 0;

	for (size_t i = 0; all && i < rows->n; i++) {
		const Row *row = &rows->items[i];
		double use = cpu                         ? row_percent(row, &status->before, status->now_usec)
			     : row->memory != UINT64_MAX ? (double)row->memory
							 : 0;

		if (use >= 0.1)
			all[n++] = (User){ row, use };
	}
	if (n)
		qsort(all, n, sizeof(*all), by_use);
	n = n < TOP_N ? n : TOP_N;
	for (size_t i = 0; i < n; i++)
		ret[i] = all[i];
	return n;
}

/* ---- for people ---- */

static void show_meter(const Meter *meter, bool colours)
{
	static const TableColour level_colours[] = { COLOUR_GOOD, COLOUR_WARN, COLOUR_BAD };
	int percent = meter_percent(meter), full = percent < 0     ? 0
						   : percent > 100 ? BAR_WIDTH
								   : percent * BAR_WIDTH / 100;
	char text[96], bar[BAR_WIDTH + 1];

	memset(bar, '.', BAR_WIDTH);
	memset(bar, '#', (size_t)full);
	bar[BAR_WIDTH] = '\0';
	(void)printf("%-15s %s[%s]%s ", meter->name, colour_code(level_colours[meter_level(meter)], colours), bar,
		colour_code(COLOUR_NONE, colours));
	if (percent >= 0)
		(void)printf("%3d%%", percent);
	else
		(void)printf("   -");
	(void)printf("  %s\n", meter_text(meter, text, sizeof(text)));
}

static void show_network(const Meters *meters)
{
	char sent[32], received[32], bandwidth[32];

	if (meters->sent == UINT64_MAX && meters->received == UINT64_MAX)
		return;
	(void)printf("%-15s sent %s, received %s in this month", "network", str_size(meters->sent, sent, sizeof(sent)),
		str_size(meters->received, received, sizeof(received)));
	if (meters->bandwidth != UINT64_MAX)
		(void)printf("; at most %s/s", str_size(meters->bandwidth, bandwidth, sizeof(bandwidth)));
	(void)putchar('\n');
}

static void show_top(const Status *status, bool cpu)
{
	User users[TOP_N];
	size_t n = top(status, cpu, users);

	if (n)
		(void)printf("\nmost %s:\n", cpu ? "processor time" : "memory");
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *name = NULL;
		char number[32];
		size_t name_n;

		if (cpu)
			(void)snprintf(number, sizeof(number), "%.1f%%",
				row_percent(users[i].row, &status->before, status->now_usec));
		else
			(void)str_size(users[i].row->memory, number, sizeof(number));
		if (text_clean(users[i].row->name, strlen(users[i].row->name), true, &name, &name_n) == 0)
			(void)printf("  %8s  %s %s\n", number, row_kind_name(users[i].row->kind), name);
	}
}

static const char *level_word(MeterLevel level)
{
	static const char *const words[] = { "ok", "warn", "full" };

	return words[level];
}

/* "memory is nearly full: 960M of 1G (94%)". */
static const char *warning_text(const Meter *meter, char *buffer, size_t size)
{
	char text[96];

	(void)snprintf(buffer, size, "%s: %d%% is used: %s", meter->name, meter_percent(meter),
		meter_text(meter, text, sizeof(text)));
	return buffer;
}

static void show(const Status *status)
{
	const Meters *meters = &status->meters;
	bool colours = terminal_colours(stdout), first = true;
	char text[256];

	for (size_t i = 0; i < meters->n; i++)
		show_meter(&meters->items[i], colours);
	show_network(meters);
	show_top(status, false);
	show_top(status, true);
	for (size_t i = 0; i < meters->n; i++) {
		const Meter *meter = &meters->items[i];
		MeterLevel level = meter_level(meter);

		if (level == METER_OK)
			continue;
		(void)printf("%s%s%s%s\n  %s\n", first ? "\n" : "",
			colour_code(level == METER_FULL ? COLOUR_BAD : COLOUR_WARN, colours),
			warning_text(meter, text, sizeof(text)), colour_code(COLOUR_NONE, colours),
			meter_way_out(meter));
		first = false;
	}
	if (meters->oom_kills && meters->oom_kills != UINT64_MAX)
		(void)printf("\nthe memory limit ended processes %llu times since this agent's first login or service "
			     "after the boot\n",
			(unsigned long long)meters->oom_kills);
}

/* ---- for programs ---- */

static void write_meters(const Meters *meters)
{
	static const char *const units[] = { "bytes", "count", "usec/s" };

	for (size_t i = 0; i < meters->n; i++) {
		const Meter *meter = &meters->items[i];
		int percent = meter_percent(meter);
		bool first = true;

		(void)fputs(i ? "," : "", stdout);
		(void)putchar('{');
		json_text(stdout, &first, "name", meter->name);
		json_text(stdout, &first, "unit", units[meter->unit]);
		json_number(stdout, &first, "used", meter->used);
		json_number(stdout, &first, "limit", meter->limit);
		json_number(stdout, &first, "percent", percent < 0 ? UINT64_MAX : (uint64_t)percent);
		json_text(stdout, &first, "level", level_word(meter_level(meter)));
		(void)putchar('}');
	}
}

static void write_top(const Status *status, bool cpu)
{
	User users[TOP_N];
	size_t n = top(status, cpu, users);

	(void)putchar('[');
	for (size_t i = 0; i < n; i++) {
		bool first = true;

		(void)fputs(i ? ",{" : "{", stdout);
		json_text(stdout, &first, "kind", row_kind_name(users[i].row->kind));
		json_text(stdout, &first, "name", users[i].row->name);
		json_number(stdout, &first, "pid", users[i].row->pid ? (uint64_t)users[i].row->pid : UINT64_MAX);
		if (cpu) {
			json_key(stdout, &first, "cpu_percent");
			(void)printf("%.1f", users[i].use);
		} else {
			json_number(stdout, &first, "memory", users[i].row->memory);
		}
		(void)putchar('}');
	}
	(void)putchar(']');
}

static void write_warnings(const Meters *meters)
{
	bool some = false;

	for (size_t i = 0; i < meters->n; i++) {
		const Meter *meter = &meters->items[i];
		bool first = true;
		char text[256];

		if (meter_level(meter) == METER_OK)
			continue;
		(void)fputs(some ? ",{" : "{", stdout);
		json_text(stdout, &first, "name", meter->name);
		json_text(stdout, &first, "level", level_word(meter_level(meter)));
		json_text(stdout, &first, "what", warning_text(meter, text, sizeof(text)));
		json_text(stdout, &first, "remedy", meter_way_out(meter));
		(void)putchar('}');
		some = true;
	}
}

static void write_status(const Status *status)
{
	const Meters *meters = &status->meters;
	bool first = true, member = true;

	(void)putchar('{');
	json_key(stdout, &first, "meters");
	(void)putchar('[');
	write_meters(meters);
	(void)putchar(']');
	json_key(stdout, &first, "network");
	(void)putchar('{');
	json_number(stdout, &member, "sent", meters->sent);
	json_number(stdout, &member, "received", meters->received);
	json_number(stdout, &member, "bandwidth", meters->bandwidth);
	(void)putchar('}');
	json_number(stdout, &first, "oom_kills", meters->oom_kills);
	json_key(stdout, &first, "top_memory");
	write_top(status, false);
	json_key(stdout, &first, "top_cpu");
	write_top(status, true);
	json_key(stdout, &first, "warnings");
	(void)putchar('[');
	write_warnings(meters);
	(void)puts("]}");
}

int resource_status_main(int argc, char **argv)
{
	_cleanup_(status_done) Status status = { 0 };
	bool json = false;
	const Option options[] = { { .name = "--json", .flag = &json }, { 0 } };
	Words words = { 0 };
	Reason reason;
	int r;

	if (argc == 1 && options_help(argc, argv))
		return usage(stdout);
	r = options_read(argc, argv, options, &words, &reason);
	if (r < 0)
		reason_tell("status", NULL, reason.text);
	if (r < 0 || words.command)
		return usage(stderr);
	r = status_read(&status);
	if (r < 0) {
		reason_tell("status", NULL, strerror(-r));
		return EXIT_FAILURE;
	}
	if (json)
		write_status(&status);
	else
		show(&status);
	if (*status.meters.keeper.text)
		reason_tell("status", "limits", status.meters.keeper.text);
	return fflush(stdout) == 0 && !*status.meters.keeper.text ? EXIT_SUCCESS : EXIT_FAILURE;
}

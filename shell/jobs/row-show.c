/* SPDX-License-Identifier: MIT */
#include "shell/jobs/row-show.h"
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/span.h"
#include "shell/jobs/table.h"

#include <string.h>

enum { KIND, NAME, PID, STATE, MEMORY, CPU, UPTIME, PORTS, HEALTH, COMMAND, COLUMNS_N };

static const TableColumn columns[COLUMNS_N] = {
	[KIND] = { "KIND", false, false },
	[NAME] = { "NAME", false, false },
	[PID] = { "PID", true, false },
	[STATE] = { "STATE", false, false },
	[MEMORY] = { "MEMORY", true, false },
	[CPU] = { "CPU", true, false },
	[UPTIME] = { "UPTIME", true, false },
	[PORTS] = { "PORTS", false, true },
	[HEALTH] = { "HEALTH", false, true },
	[COMMAND] = { "COMMAND", false, true },
};

static const char *const reaches[] = {
	[REACH_LOOPBACK] = "loopback",
	[REACH_ADDRESS] = "address",
	[REACH_ANY] = "any",
};

bool rows_chosen(const Row *row, const RowsChoice *choice)
{
	if (choice->kind >= 0)
		return (int)row->kind == choice->kind;
	return choice->all || row->kind != ROW_SYSTEM;
}

double row_percent(const Row *row, const RowsBefore *before, uint64_t now_usec)
{
	if (!before || now_usec <= before->at_usec || row->cpu_usec == UINT64_MAX)
		return -1;
	for (size_t i = 0; i < before->rows.n; i++) {
		const Row *old = &before->rows.items[i];

		if (old->kind != row->kind || old->pid != row->pid || strcmp(old->name, row->name) != 0 ||
			old->cpu_usec == UINT64_MAX || old->cpu_usec > row->cpu_usec)
			continue;
		return 100.0 * (double)(row->cpu_usec - old->cpu_usec) / (double)(now_usec - before->at_usec);
	}
	return -1;
}

char *row_ports_text(const Row *row)
{
	_cleanup_free_ char *text = strdup("");

	for (size_t i = 0; text && i < row->n_ports; i++) {
		char *longer = str_format("%s%s%u%s", text, *text ? " " : "", row->ports[i].port,
			row->ports[i].reach == REACH_LOOPBACK ? " (loopback)" : "");

		free(text);
		text = longer;
	}
	return TAKE_PTR(text);
}

static const char *next_text(uint64_t next_usec, char *buffer, size_t size)
{
	uint64_t now = now_realtime();
	char span[32];

	if (next_usec == UINT64_MAX)
		(void)snprintf(buffer, size, "no next run");
	else if (next_usec <= now)
		(void)snprintf(buffer, size, "next run now");
	else
		(void)snprintf(buffer, size, "next run in %s", span_text(next_usec - now, span, sizeof(span)));
	return buffer;
}

static int show_row(Table *table, const Row *row, const RowsBefore *before, uint64_t now_usec)
{
	_cleanup_free_ char *ports = row_ports_text(row);
	char pid[16] = "", memory[32] = "", cpu[32] = "", uptime[32] = "", next[64] = "";
	double percent = row_percent(row, before, now_usec);
	uint64_t now = now_realtime();
	int r;

	if (!ports)
		return -ENOMEM;
	if (row->pid)
		(void)snprintf(pid, sizeof(pid), "%d", (int)row->pid);
	if (row->memory != UINT64_MAX)
		(void)str_size(row->memory, memory, sizeof(memory));
	if (percent >= 0)
		(void)snprintf(cpu, sizeof(cpu), "%.1f%%", percent);
	else if (!before && row->cpu_usec != UINT64_MAX)
		(void)span_text(row->cpu_usec, cpu, sizeof(cpu));
	if (row->started_usec != UINT64_MAX)
		(void)span_text(now > row->started_usec ? now - row->started_usec : 0, uptime, sizeof(uptime));
	if (!row->health && (row->kind == ROW_TIMER || row->kind == ROW_CRON))
		(void)next_text(row->next_usec, next, sizeof(next));
	r = table_add(table, (const char *[COLUMNS_N]){ row_kind_name(row->kind), row->name, pid, row->state, memory,
				     cpu, uptime, ports, row->health ? row->health : next, row->command });
	if (r < 0)
		return r;
	if (row->kind == ROW_STRAY)
		table_colour(table, KIND, COLOUR_WARN);
	table_colour(table, STATE, row->bad ? COLOUR_BAD : COLOUR_NONE);
	if (row->health)
		table_colour(table, HEALTH, row->bad ? COLOUR_BAD : COLOUR_GOOD);
	return 0;
}

int rows_show(FILE *file, const Rows *rows, const RowsChoice *choice, const RowsBefore *before, size_t lines)
{
	_cleanup_(table_freep) Table *table = table_new(columns, COLUMNS_N);
	uint64_t now_usec = now_monotonic();
	size_t more = 0;

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < rows->n; i++) {
		int r = rows_chosen(&rows->items[i], choice) ? show_row(table, &rows->items[i], before, now_usec) : 0;

		if (r < 0)
			return r;
	}
	/* a line is the titles', and one says how many rows are left out */
	if (lines && table_rows(table) + 1 > lines) {
		more = table_rows(table) - (lines > 2 ? lines - 2 : 0);
		table_cut(table, lines > 2 ? lines - 2 : 0);
	}
	table_print(table, file, terminal_width(file), terminal_colours(file));
	if (more)
		(void)fprintf(file, "and %zu more: the terminal has no room for them\n", more);
	return 0;
}

/* ---- JSON ---- */

static void write_when(FILE *file, bool *first, const char *key, uint64_t usec)
{
	char text[40];

	json_text(file, first, key, usec == UINT64_MAX || usec == 0 ? NULL : when_json(usec, text, sizeof(text)));
}

static void write_ports(FILE *file, bool *first, const Row *row)
{
	json_key(file, first, "ports");
	(void)fputc('[', file);
	for (size_t i = 0; i < row->n_ports; i++) {
		bool member = true;

		(void)fputs(i ? ",{" : "{", file);
		json_number(file, &member, "port", row->ports[i].port);
		json_text(file, &member, "reach", reaches[row->ports[i].reach]);
		(void)fputc('}', file);
	}
	(void)fputc(']', file);
}

static void write_row(FILE *file, const Row *row)
{
	uint64_t now = now_realtime();
	bool first = true;

	(void)fputc('{', file);
	json_text(file, &first, "kind", row_kind_name(row->kind));
	json_text(file, &first, "name", row->name);
	json_number(file, &first, "pid", row->pid ? (uint64_t)row->pid : UINT64_MAX);
	json_text(file, &first, "state", row->state);
	json_bool(file, &first, "ok", !row->bad);
	json_text(file, &first, "health", row->health);
	json_number(file, &first, "memory", row->memory);
	json_number(file, &first, "cpu_usec", row->cpu_usec);
	write_when(file, &first, "started", row->started_usec);
	json_number(file, &first, "uptime_seconds",
		row->started_usec == UINT64_MAX ? UINT64_MAX
		: now > row->started_usec       ? (now - row->started_usec) / 1000000
						: 0);
	write_ports(file, &first, row);
	write_when(file, &first, "next", row->next_usec);
	write_when(file, &first, "last", row->last_usec);
	json_text(file, &first, "unit", row->kind == ROW_REPL ? NULL : row->unit);
	json_text(file, &first, "language", row->kind == ROW_REPL ? row->unit : NULL);
	json_key(file, &first, "pids");
	(void)fputc('[', file);
	for (size_t i = 0; i < row->n_pids; i++)
		(void)fprintf(file, "%s%d", i ? "," : "", (int)row->pids[i]);
	(void)fputc(']', file);
	json_text(file, &first, "command", row->command);
	(void)fputc('}', file);
}

void rows_write(FILE *file, const Rows *rows, const RowsChoice *choice)
{
	bool first = true;

	(void)fputc('[', file);
	for (size_t i = 0; i < rows->n; i++) {
		if (!rows_chosen(&rows->items[i], choice))
			continue;
		(void)fputs(first ? "" : ",\n", file);
		first = false;
		write_row(file, &rows->items[i]);
	}
	(void)fputs("]\n", file);
}

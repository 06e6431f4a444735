/* SPDX-License-Identifier: MIT */
#include "shell/jobs/row.h"

#include <string.h>

static const char *const kinds[ROW_KINDS_N] = {
	[ROW_SESSION] = "session",
	[ROW_JOB] = "job",
	[ROW_SCREEN] = "screen",
	[ROW_SERVICE] = "service",
	[ROW_CRON] = "cron",
	[ROW_TIMER] = "timer",
	[ROW_REPL] = "repl",
	[ROW_RUN] = "run",
	[ROW_PROCESS] = "process",
	[ROW_STRAY] = "stray",
	[ROW_SYSTEM] = "system",
};

const char *row_kind_name(RowKind kind)
{
	return kinds[kind];
}

int row_kind_parse(const char *name, RowKind *ret)
{
	for (size_t i = 0; i < ROW_KINDS_N; i++)
		if (strcmp(name, kinds[i]) == 0) {
			*ret = (RowKind)i;
			return 0;
		}
	return -EINVAL;
}

Row *rows_add(Rows *rows, RowKind kind, const char *name)
{
	Row *grown = reallocarray(rows->items, rows->n + 1, sizeof(*grown)), *row;

	if (!grown)
		return NULL;
	rows->items = grown;
	row = &grown[rows->n];
	*row = (Row){
		.kind = kind,
		.name = strdup(name),
		.memory = UINT64_MAX,
		.cpu_usec = UINT64_MAX,
		.started_usec = UINT64_MAX,
		.next_usec = UINT64_MAX,
		.last_usec = UINT64_MAX,
	};
	if (!row->name)
		return NULL;
	rows->n++;
	return row;
}

int row_add_pid(Row *row, pid_t pid)
{
	pid_t *grown = reallocarray(row->pids, row->n_pids + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	row->pids = grown;
	grown[row->n_pids++] = pid;
	return 0;
}

int row_add_port(Row *row, uint16_t port, RowReach reach)
{
	RowPort *grown;
	size_t i;

	for (i = 0; i < row->n_ports && row->ports[i].port <= port; i++)
		if (row->ports[i].port == port) {
			/* the widest of its sockets says how it is reached */
			if (reach > row->ports[i].reach)
				row->ports[i].reach = reach;
			return 0;
		}
	grown = reallocarray(row->ports, row->n_ports + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	row->ports = grown;
	memmove(grown + i + 1, grown + i, (row->n_ports - i) * sizeof(*grown));
	grown[i] = (RowPort){ .port = port, .reach = reach };
	row->n_ports++;
	return 0;
}

static int compare(const void *a, const void *b)
{
	const Row *x = a, *y = b;
	int names;

	if (x->kind != y->kind)
		return (int)x->kind - (int)y->kind;
	names = strcmp(x->name, y->name);
	return names ? names : (int)x->pid - (int)y->pid;
}

void rows_sort(Rows *rows)
{
	if (rows->n)
		qsort(rows->items, rows->n, sizeof(*rows->items), compare);
}

void rows_done(Rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		Row *row = &rows->items[i];

		free(row->name);
		free(row->unit);
		free(row->command);
		free(row->health);
		free(row->pids);
		free(row->ports);
	}
	free(rows->items);
	*rows = (Rows){ 0 };
}

bool row_has_pid(const Row *row, pid_t pid)
{
	for (size_t i = 0; i < row->n_pids; i++)
		if (row->pids[i] == pid)
			return true;
	return row->pid == pid && pid > 0;
}

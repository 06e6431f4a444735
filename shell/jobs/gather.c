/* SPDX-License-Identifier: MIT */
/*
 * Who explains a process: a screen and a PID file say a name, and come first; then the cgroup it lies in. What outlived its
 * login, or lies in no place of the keeper's or the user manager's, is a stray, a row for each tree of processes.
 */
#include "shell/jobs/gather.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"

#include <fcntl.h>
#include <string.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define NOBODY SIZE_MAX

int gather_take(Gathered *gathered, size_t row, pid_t pid)
{
	for (size_t i = 0; i < gathered->processes.n; i++) {
		const Process *process = &gathered->processes.items[i], *up = process;
		int r;

		if (gathered->owner[i] != NOBODY)
			continue;
		/* a parent may have a higher number: the search is not in order, and bounded against a table that changed */
		for (unsigned int depth = 0; up && up->pid != pid && depth < 256; depth++)
			up = processes_find(&gathered->processes, up->parent);
		if (!up || up->pid != pid)
			continue;
		gathered->owner[i] = row;
		r = row_add_pid(&gathered->rows.items[row], process->pid);
		if (r < 0)
			return r;
	}
	return 0;
}

/* The row of that kind and name, made where there is none. */
static int row_for(Gathered *gathered, RowKind kind, const char *name, size_t *ret)
{
	Row *row;

	for (size_t i = 0; i < gathered->rows.n; i++)
		if (gathered->rows.items[i].kind == kind && strcmp(gathered->rows.items[i].name, name) == 0) {
			*ret = i;
			return 0;
		}
	row = rows_add(&gathered->rows, kind, name);
	if (!row)
		return -ENOMEM;
	*ret = (size_t)(row - gathered->rows.items);
	return 0;
}

static int row_for_unit(Gathered *gathered, const char *unit, size_t *ret)
{
	char name[WHERE_NAME_MAX];
	RowKind kind;
	int r;

	/* what the user manager said has the kind that its file tells */
	for (size_t i = 0; i < gathered->rows.n; i++)
		if (str_equal(gathered->rows.items[i].unit, unit)) {
			*ret = i;
			return 0;
		}
	kind = unit_row_kind(unit, name, sizeof(name));
	r = row_for(gathered, kind, name, ret);
	if (r == 0 && !gathered->rows.items[*ret].unit)
		r = str_set(&gathered->rows.items[*ret].unit, unit);
	return r;
}

/*
 * Of a login it is what its shell or command began and waits for; what init took over, and has no terminal, was left behind, and
 * may be there long after the login. (After a restart of the keeper init has the commands themselves, too.)
 */
static bool was_left_behind(const Gathered *gathered, const Process *process)
{
	const Process *up = process;

	for (unsigned int depth = 0; depth < 256; depth++) {
		const Process *parent = processes_find(&gathered->processes, up->parent);

		if (!parent || parent->where.kind != WHERE_SESSION)
			break;
		up = parent;
	}
	return up->parent == 1 && !up->terminal;
}

static int take_by_place(Gathered *gathered, size_t i)
{
	const Where *where = &gathered->processes.items[i].where;
	const char *slash;
	size_t row;
	int r;

	switch (where->kind) {
	case WHERE_UNIT:
		r = row_for_unit(gathered, where->name, &row);
		break;
	case WHERE_MANAGER:
		r = row_for(gathered, ROW_SYSTEM, "user-manager", &row);
		break;
	case WHERE_SESSION:
		if (was_left_behind(gathered, &gathered->processes.items[i]))
			return 0;
		r = row_for(gathered, ROW_SESSION, where->name, &row);
		if (r == 0 && where->rescue)
			(void)snprintf(
				gathered->rows.items[row].state, sizeof(gathered->rows.items[row].state), "rescue");
		break;
	case WHERE_RUN:
		r = row_for(gathered, ROW_RUN, where->name, &row);
		break;
	case WHERE_REPL:
		slash = strchr(where->name, '/');
		r = row_for(gathered, ROW_REPL, slash ? slash + 1 : where->name, &row);
		break;
	default:
		return 0;
	}
	if (r < 0)
		return r;
	gathered->owner[i] = row;
	return row_add_pid(&gathered->rows.items[row], gathered->processes.items[i].pid);
}

/* Of the first word, what is behind its last slash. */
static void program_name(const char *command, char *buffer, size_t size)
{
	size_t n = strcspn(command, " ");
	const char *begin = command;

	for (size_t i = 0; i < n; i++)
		if (command[i] == '/')
			begin = command + i + 1;
	(void)snprintf(buffer, size, "%.*s", (int)(n - (size_t)(begin - command)), begin);
}

/* A tree begins where the parent is nobody's stray. */
static int take_strays(Gathered *gathered)
{
	for (size_t i = 0; i < gathered->processes.n; i++) {
		const Process *process = &gathered->processes.items[i], *parent;
		char name[64];
		Row *row;
		int r;

		parent = processes_find(&gathered->processes, process->parent);
		if (gathered->owner[i] != NOBODY ||
			(parent && gathered->owner[parent - gathered->processes.items] == NOBODY))
			continue;
		program_name(process->command, name, sizeof(name));
		row = rows_add(&gathered->rows, ROW_STRAY, name);
		if (!row)
			return -ENOMEM;
		row->pid = process->pid;
		r = gather_take(gathered, gathered->rows.n - 1, process->pid);
		if (r < 0)
			return r;
	}
	return 0;
}

int gather_repls(Gathered *gathered)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	const char *name, *language, *state;
	uint64_t since, idle, bytes;
	int r;

	r = keeper_connect(getuid(), &bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Repls", &error, &reply, "");
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(sssttt)");
	while (r >= 0 &&
		(r = sd_bus_message_read(reply, "(sssttt)", &name, &language, &state, &since, &idle, &bytes)) > 0) {
		Row *row = rows_add(&gathered->rows, ROW_REPL, name);

		if (!row)
			return -ENOMEM;
		/* the language is part of what names it */
		r = str_set(&row->unit, language);
		if (r < 0)
			return r;
		(void)snprintf(row->state, sizeof(row->state), "%s", state);
		row->memory = bytes;
		row->started_usec = since;
	}
	if (r < 0)
		(void)keeper_failure(r, &error, gathered->keeper.text, sizeof(gathered->keeper.text));
	return 0;
}

static bool is_unknown(uint64_t value)
{
	return value == UINT64_MAX;
}

/* Of a login or a run: that its folder has no others' processes is what makes its numbers the row's. */
static void read_folder(const Gathered *gathered, size_t index)
{
	_cleanup_free_ char *path = NULL;
	Row *row = &gathered->rows.items[index];
	const Process *first = processes_find(&gathered->processes, row->pids[0]);
	_cleanup_close_ int fd = -EBADF;
	char text[1024];
	uint64_t value;

	if (!first || !first->where.folder)
		return;
	for (size_t i = 0; i < gathered->processes.n; i++) {
		const Process *process = &gathered->processes.items[i];
		bool inside = process->where.folder == first->where.folder &&
			      strncmp(process->cgroup, first->cgroup, first->where.folder) == 0;

		if (inside != (gathered->owner[i] == index))
			return;
	}
	path = str_format(CGROUP_ROOT "%.*s", (int)first->where.folder, first->cgroup);
	fd = path ? open(path, O_PATH | O_DIRECTORY | O_CLOEXEC) : -1;
	if (fd < 0)
		return;
	if (file_get_at(fd, "memory.current", text, sizeof(text)) == 0 && str_to_u64(text, UINT64_MAX, &value) == 0)
		row->memory = value;
	if (file_get_at(fd, "cpu.stat", text, sizeof(text)) == 0 && keyed_u64(text, "usage_usec", &value) == 0)
		row->cpu_usec = value;
}

/* What nobody told of the row is told by its processes. */
static int row_finish(Gathered *gathered, size_t index)
{
	Row *row = &gathered->rows.items[index];
	uint64_t memory = 0, cpu = 0;
	const Process *first = NULL;

	for (size_t i = 0; i < row->n_pids; i++) {
		const Process *process = processes_find(&gathered->processes, row->pids[i]);

		memory += process->memory;
		cpu += process->cpu_usec;
		if (!first || process->started_usec < first->started_usec || process->pid == row->pid)
			first = first && first->pid == row->pid ? first : process;
	}
	if (!first)
		return 0;
	if (row->kind == ROW_SESSION || row->kind == ROW_RUN)
		read_folder(gathered, index);
	if (is_unknown(row->memory))
		row->memory = memory;
	if (is_unknown(row->cpu_usec))
		row->cpu_usec = cpu;
	if (is_unknown(row->started_usec))
		row->started_usec = first->started_usec;
	if (!row->pid)
		row->pid = first->pid;
	if (!*row->state)
		(void)snprintf(row->state, sizeof(row->state), "%s",
			first->state == 'T'   ? "stopped"
			: first->state == 'Z' ? "ended"
					      : "running");
	return row->command ? 0 : str_set(&row->command, first->command);
}

int gather(Gathered *ret)
{
	_cleanup_gathered_ Gathered gathered = { 0 };
	int r;

	r = processes_read(getuid(), &gathered.processes);
	if (r < 0)
		return r;
	gathered.owner = malloc((gathered.processes.n + 1) * sizeof(*gathered.owner));
	if (!gathered.owner)
		return -ENOMEM;
	for (size_t i = 0; i < gathered.processes.n; i++)
		gathered.owner[i] = NOBODY;

	r = gather_units(&gathered);
	if (r == 0)
		r = gather_repls(&gathered);
	if (r == 0)
		r = gather_screens(&gathered);
	if (r == 0)
		r = gather_pid_files(&gathered);
	for (size_t i = 0; r == 0 && i < gathered.processes.n; i++)
		if (gathered.owner[i] == NOBODY)
			r = take_by_place(&gathered, i);
	if (r == 0)
		r = take_strays(&gathered);
	for (size_t i = 0; r == 0 && i < gathered.rows.n; i++)
		r = row_finish(&gathered, i);
	if (r == 0)
		r = gather_ports(&gathered);
	if (r < 0)
		return r;
	rows_sort(&gathered.rows);
	*ret = gathered;
	gathered = (Gathered){ 0 };
	return 0;
}

void gathered_done(Gathered *gathered)
{
	rows_done(&gathered->rows);
	processes_done(&gathered->processes);
	free(gathered->listeners);
	free(gathered->owner);
	*gathered = (Gathered){ 0 };
}

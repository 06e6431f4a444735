/* SPDX-License-Identifier: MIT */
/* What the manager says of its units (manager.h). */
#include "shell/base/str.h"
#include "shell/jobs/manager.h"

#include <string.h>

/* ---- one unit ---- */

typedef enum FieldKind {
	FIELD_OWNED, /* char * */
	FIELD_TEXT,  /* char[24] */
	FIELD_U64,   /* t */
	FIELD_U32,   /* u or i, into an int */
	FIELD_BOOL,
} FieldKind;

typedef struct Field {
	const char *name;
	FieldKind kind;
	size_t offset;
} Field;

#define WORD_SIZE sizeof(((Unit *)NULL)->load)
#define AT(member) offsetof(Unit, member)

static const Field fields[] = {
	{ "Description", FIELD_OWNED, AT(description) },
	{ "FragmentPath", FIELD_OWNED, AT(fragment) },
	{ "ControlGroup", FIELD_OWNED, AT(cgroup) },
	{ "WorkingDirectory", FIELD_OWNED, AT(working_directory) },
	{ "StatusText", FIELD_OWNED, AT(status_text) },
	{ "LoadState", FIELD_TEXT, AT(load) },
	{ "ActiveState", FIELD_TEXT, AT(active) },
	{ "SubState", FIELD_TEXT, AT(sub) },
	{ "Result", FIELD_TEXT, AT(result) },
	{ "UnitFileState", FIELD_TEXT, AT(enabled) },
	{ "NeedDaemonReload", FIELD_BOOL, AT(reload_needed) },
	{ "MainPID", FIELD_U32, AT(main_pid) },
	{ "ExecMainCode", FIELD_U32, AT(code) },
	{ "ExecMainStatus", FIELD_U32, AT(status) },
	{ "ExecMainStartTimestamp", FIELD_U64, AT(started_usec) },
	{ "ExecMainExitTimestamp", FIELD_U64, AT(ended_usec) },
	{ "ActiveEnterTimestamp", FIELD_U64, AT(active_usec) },
	{ "MemoryCurrent", FIELD_U64, AT(memory) },
	{ "CPUUsageNSec", FIELD_U64, AT(cpu_usec) },
	{ "TasksCurrent", FIELD_U64, AT(tasks) },
	{ "NRestarts", FIELD_U32, AT(restarts) },
	{ "NextElapseUSecRealtime", FIELD_U64, AT(next_usec) },
	{ "LastTriggerUSec", FIELD_U64, AT(last_usec) },
};

static const Field *field_find(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(fields); i++)
		if (strcmp(fields[i].name, name) == 0)
			return &fields[i];
	return NULL;
}

/* The message stands at the variant. */
static int field_read(sd_bus_message *message, const Field *field, Unit *unit)
{
	char *place = (char *)unit + field->offset;
	const char *contents, *text;
	uint32_t small;
	char type;
	int r, truth;

	r = sd_bus_message_peek_type(message, &type, &contents);
	if (r < 0)
		return r;
	switch (field->kind) {
	case FIELD_OWNED:
	case FIELD_TEXT:
		r = sd_bus_message_read(message, "v", "s", &text);
		if (r >= 0 && field->kind == FIELD_OWNED)
			r = str_set((char **)(void *)place, text);
		else if (r >= 0)
			(void)snprintf(place, WORD_SIZE, "%s", text);
		return r;
	case FIELD_U64:
		return sd_bus_message_read(message, "v", "t", (uint64_t *)(void *)place);
	case FIELD_U32:
		r = sd_bus_message_read(message, "v", *contents == 'i' ? "i" : "u", &small);
		if (r >= 0 && field->offset == AT(restarts))
			unit->restarts = small;
		else if (r >= 0)
			*(int *)(void *)place = (int)small;
		return r;
	case FIELD_BOOL:
		r = sd_bus_message_read(message, "v", "b", &truth);
		if (r >= 0)
			*(bool *)(void *)place = truth;
		return r;
	default:
		return -EINVAL;
	}
}

static int properties_read(sd_bus_message *reply, Unit *unit)
{
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "{sv}");
	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'e', "sv")) > 0) {
		const Field *field;
		const char *name;

		r = sd_bus_message_read(reply, "s", &name);
		if (r < 0)
			return r;
		field = field_find(name);
		r = field ? field_read(reply, field, unit) : sd_bus_message_skip(reply, "v");
		if (r >= 0)
			r = sd_bus_message_exit_container(reply);
	}
	return r < 0 ? r : 0;
}

static int unit_clear(Unit *unit, const char *name)
{
	char **owned[] = { &unit->description, &unit->fragment, &unit->cgroup, &unit->working_directory,
		&unit->status_text };

	memset(unit, 0, sizeof(*unit));
	(void)snprintf(unit->name, sizeof(unit->name), "%s", name);
	unit->memory = unit->cpu_usec = unit->tasks = UINT64_MAX;
	for (size_t i = 0; i < ELEMENTSOF(owned); i++)
		if (str_set(owned[i], "") < 0)
			return -ENOMEM;
	return 0;
}

void unit_done(Unit *unit)
{
	free(unit->description);
	free(unit->fragment);
	free(unit->cgroup);
	free(unit->working_directory);
	free(unit->status_text);
}

int manager_unit(Manager *manager, const char *name, Unit *ret, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *loaded = NULL, *reply = NULL;
	_cleanup_unit_ Unit unit;
	const char *path;
	int r;

	if (unit_clear(&unit, name) < 0)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = sd_bus_call_method(manager_bus(manager), MANAGER_NAME, MANAGER_OBJECT, MANAGER_INTERFACE, "LoadUnit",
		&error, &loaded, "s", name);
	if (r >= 0)
		r = sd_bus_message_read(loaded, "o", &path);
	/* an empty name of an interface: those of all its interfaces */
	if (r >= 0)
		r = sd_bus_call_method(manager_bus(manager), MANAGER_NAME, path, "org.freedesktop.DBus.Properties",
			"GetAll", &error, &reply, "s", "");
	if (r >= 0)
		r = properties_read(reply, &unit);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", error.message ? error.message : strerror(-r));
	if (strcmp(unit.load, "not-found") == 0)
		return reason_set(ret_reason, -ENOENT, "there is no unit %s", name);
	if (unit.cpu_usec != UINT64_MAX)
		unit.cpu_usec /= 1000;
	*ret = unit;
	memset(&unit, 0, sizeof(unit));
	return 0;
}

bool unit_lives(const Unit *unit)
{
	static const char *const states[] = { "active", "activating", "reloading", "deactivating" };

	for (size_t i = 0; i < ELEMENTSOF(states); i++)
		if (strcmp(unit->active, states[i]) == 0)
			return true;
	return false;
}

/* ---- all units ---- */

void unit_rows_done(UnitRows *rows)
{
	for (size_t i = 0; i < rows->n; i++)
		free(rows->items[i].description);
	free(rows->items);
	rows->items = NULL;
	rows->n = 0;
}

static int compare_rows(const void *a, const void *b)
{
	return strcmp(((const UnitRow *)a)->name, ((const UnitRow *)b)->name);
}

static int rows_read(sd_bus_message *reply, UnitRows *rows)
{
	const char *name, *description, *load, *active, *sub;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "(ssssssouso)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(ssssssouso)", &name, &description, &load, &active, &sub,
				  NULL, NULL, NULL, NULL, NULL)) > 0) {
		UnitRow *grown = reallocarray(rows->items, rows->n + 1, sizeof(*grown)), *row;

		if (!grown)
			return -ENOMEM;
		rows->items = grown;
		row = &grown[rows->n];
		*row = (UnitRow){ .description = strdup(description) };
		if (!row->description)
			return -ENOMEM;
		(void)snprintf(row->name, sizeof(row->name), "%s", name);
		(void)snprintf(row->load, sizeof(row->load), "%s", load);
		(void)snprintf(row->active, sizeof(row->active), "%s", active);
		(void)snprintf(row->sub, sizeof(row->sub), "%s", sub);
		rows->n++;
	}
	if (r >= 0 && rows->n)
		qsort(rows->items, rows->n, sizeof(*rows->items), compare_rows);
	return r < 0 ? r : 0;
}

int manager_list(Manager *manager, const char *const *patterns, UnitRows *ret, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL, *reply = NULL;
	_cleanup_unit_rows_ UnitRows rows = { 0 };
	int r;

	r = sd_bus_message_new_method_call(
		manager_bus(manager), &message, MANAGER_NAME, MANAGER_OBJECT, MANAGER_INTERFACE, "ListUnitsByPatterns");
	if (r >= 0)
		r = sd_bus_message_append_strv(message, NULL); /* in any state */
	if (r >= 0)
		r = sd_bus_message_append_strv(message, (char **)(uintptr_t)patterns);
	if (r >= 0)
		r = sd_bus_call(manager_bus(manager), message, 0, &error, &reply);
	if (r >= 0)
		r = rows_read(reply, &rows);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", error.message ? error.message : strerror(-r));
	*ret = rows;
	rows = (UnitRows){ 0 };
	return 0;
}

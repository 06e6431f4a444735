/* SPDX-License-Identifier: MIT */
/* What the user manager has loaded and is alive or failed, a row each; the entries of the crontab, timer and service in one. */
#include "shell/base/job-words.h"
#include "shell/jobs/gather.h"
#include "shell/base/str.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/service.h"

#include <string.h>

#define PROBE_MSEC 500 /* for a server's answer: the table is looked at while it hangs, too */

static const char *const patterns[] = { "*.service", "*.scope", "*.timer", NULL };

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

RowKind unit_row_kind(const char *unit, char *ret_name, size_t size)
{
	static const struct {
		const char *prefix;
		RowKind kind;
	} own[] = { { JOB_UNIT_PREFIX, ROW_JOB }, { CRON_UNIT_PREFIX, ROW_CRON } };
	bool timer = has_suffix(unit, ".timer"), service = has_suffix(unit, ".service");
	RowKind kind = timer ? ROW_TIMER : service ? ROW_SERVICE : ROW_SYSTEM;
	size_t n = strlen(unit) - (timer ? strlen(".timer") : service ? strlen(".service") : 0);

	if (has_suffix(unit, ".scope"))
		kind = ROW_SERVICE;
	for (size_t i = 0; i < ELEMENTSOF(own); i++) {
		size_t m = strlen(own[i].prefix);

		if (strncmp(unit, own[i].prefix, m) != 0 || n <= m || !(service || (timer && own[i].kind == ROW_CRON)))
			continue;
		kind = own[i].kind;
		unit += m;
		n -= m;
	}
	(void)snprintf(ret_name, size, "%.*s", (int)n, unit);
	return kind;
}

/* Debian's, not the agent's. */
static bool is_systems(const Unit *unit)
{
	return strncmp(unit->fragment, "/usr/", 5) == 0 || strncmp(unit->fragment, "/lib/", 5) == 0 ||
	       strncmp(unit->fragment, "/etc/", 5) == 0;
}

static void set_state(Row *row, const Unit *unit)
{
	static const struct {
		const char *active, *word;
	} words[] = { { "activating", "starting" }, { "deactivating", "stopping" }, { "reloading", "reloading" } };

	(void)snprintf(row->state, sizeof(row->state), "%s", strcmp(unit->sub, "dead") == 0 ? unit->active : unit->sub);
	for (size_t i = 0; i < ELEMENTSOF(words); i++)
		if (strcmp(unit->active, words[i].active) == 0)
			(void)snprintf(row->state, sizeof(row->state), "%s", words[i].word);
	/* between two tries */
	if (strcmp(unit->sub, "auto-restart") == 0)
		(void)snprintf(row->state, sizeof(row->state), "restarting");
	row->bad = strcmp(unit->active, "failed") == 0 || strcmp(unit->sub, "auto-restart") == 0;
}

/* Why it failed. */
static int set_failure(Row *row, const Unit *unit)
{
	char text[64];

	if (!row->bad)
		return 0;
	if (strcmp(unit->result, "exit-code") == 0)
		(void)snprintf(text, sizeof(text), "exit %d", unit->status);
	else if (strcmp(unit->result, "signal") == 0 || strcmp(unit->result, "core-dump") == 0)
		(void)snprintf(text, sizeof(text), "signal %d", unit->status);
	else if (strcmp(unit->result, "success") == 0)
		(void)snprintf(text, sizeof(text), "ended");
	else
		(void)snprintf(text, sizeof(text), "%s", unit->result);
	return str_set(&row->health, text);
}

/* Of what creel service create made: asked of the server itself. */
static int set_health(Row *row, Manager *manager)
{
	_cleanup_state_ ServiceState state = { 0 };
	_cleanup_service_ Service service = { 0 };
	char words[256];
	Reason reason;

	if (row->bad || row->kind != ROW_SERVICE || service_load(row->name, &service, &reason) < 0)
		return 0;
	if (!service.own || service.spec.health == HEALTH_RUNNING ||
		service_look(manager, &service, PROBE_MSEC, &state, &reason) < 0)
		return 0;
	row->bad = !service_is_healthy(&service, &state);
	return str_set(&row->health, service_health_words(&service, &state, words, sizeof(words)));
}

static int fill(Row *row, const Unit *unit)
{
	bool timer = has_suffix(unit->name, ".timer");
	int r;

	if (timer) {
		row->next_usec = unit->next_usec ? unit->next_usec : UINT64_MAX;
		row->last_usec = unit->last_usec ? unit->last_usec : UINT64_MAX;
		if (!*row->state || !row->pid)
			set_state(row, unit);
		return str_set(&row->unit, unit->name);
	}
	set_state(row, unit);
	row->pid = unit->main_pid;
	row->memory = unit->memory;
	row->cpu_usec = unit->cpu_usec;
	if (unit->main_pid)
		row->started_usec = unit->started_usec;
	else if (unit->active_usec)
		row->started_usec = unit->active_usec;
	r = set_failure(row, unit);
	/* of a timer and its service the timer is what is stopped */
	return r < 0 || row->unit ? r : str_set(&row->unit, unit->name);
}

static int add_unit(Gathered *gathered, Manager *manager, const char *name)
{
	_cleanup_unit_ Unit unit = { 0 };
	char text[WHERE_NAME_MAX];
	Row *row = NULL;
	Reason reason;
	RowKind kind;
	int r;

	r = manager_unit(manager, name, &unit, &reason);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		return 0; /* it went meanwhile */
	kind = unit_row_kind(name, text, sizeof(text));
	if ((kind == ROW_SERVICE || kind == ROW_TIMER) && is_systems(&unit))
		kind = ROW_SYSTEM;
	for (size_t i = 0; kind == ROW_CRON && i < gathered->rows.n; i++)
		if (gathered->rows.items[i].kind == kind && strcmp(gathered->rows.items[i].name, text) == 0)
			row = &gathered->rows.items[i];
	if (!row)
		row = rows_add(&gathered->rows, kind, text);
	r = row ? fill(row, &unit) : -ENOMEM;
	return r < 0 ? r : set_health(row, manager);
}

int gather_units(Gathered *gathered)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_unit_rows_ UnitRows units = { 0 };
	int r;

	r = manager_connect(&manager, &gathered->manager);
	if (r == 0)
		r = manager_list(manager, patterns, &units, &gathered->manager);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	gathered->manager.text[0] = '\0';
	for (size_t i = 0; i < units.n; i++) {
		bool dead = strcmp(units.items[i].active, "inactive") == 0;

		if (dead || strcmp(units.items[i].name, "init.scope") == 0)
			continue;
		r = add_unit(gathered, manager, units.items[i].name);
		if (r < 0)
			return r;
	}
	return 0;
}

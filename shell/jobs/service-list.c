/* SPDX-License-Identifier: MIT */
/* creel service list and status (service.h). */
#include "shell/jobs/commands.h"
#include "shell/jobs/journal.h"
#include "shell/jobs/options.h"
#include "shell/jobs/service.h"
#include "shell/jobs/table.h"
#include "shell/tools/clean.h"

#include <string.h>

#define LIST_PROBE_MSEC 1000
#define STATUS_PROBE_MSEC 3000
#define STATUS_LINES 10U

/* One that systemd cannot load is shown all the same. */
static int look(Manager *manager, const Service *service, int probe_msec, ServiceState *ret, Reason *ret_reason)
{
	int r = service_look(manager, service, probe_msec, ret, ret_reason);

	if (r != -ENOENT)
		return r;
	/* a file that came since systemd read them last */
	r = manager_reload(manager, ret_reason);
	return r < 0 ? r : service_look(manager, service, probe_msec, ret, ret_reason);
}

static const char *state_word(const ServiceState *state)
{
	if (strcmp(state->unit.load, "loaded") != 0)
		return state->unit.load;
	if (strcmp(state->unit.sub, "auto-restart") == 0)
		return "restarting";
	return strcmp(state->unit.active, "active") == 0 ? state->unit.sub : state->unit.active;
}

static int row_add(Table *table, const Service *service, const ServiceState *state)
{
	char pid[16] = "", memory[32] = "", up[32] = "", words[256];
	bool runs = service_runs(state), healthy = service_is_healthy(service, state);
	int r;

	(void)service_health_words(service, state, words, sizeof(words));
	if (state->unit.main_pid)
		(void)snprintf(pid, sizeof(pid), "%d", (int)state->unit.main_pid);
	if (runs) {
		(void)span_text(now_realtime() - state->unit.active_usec, up, sizeof(up));
		(void)str_size(state->unit.memory, memory, sizeof(memory));
	}
	r = table_add(table, (const char *[]){ service->name, state_word(state), pid, memory, up,
				     runs ? state->url : "", words, state->unit.enabled });
	if (r == 0)
		table_colour(table, 1, !runs ? COLOUR_DIM : healthy ? COLOUR_GOOD : COLOUR_BAD);
	return r;
}

static int list(Manager *manager, bool json, Reason *ret_reason)
{
	static const TableColumn columns[] = { { .title = "NAME" }, { .title = "STATE" },
		{ .title = "PID", .right = true }, { .title = "MEMORY", .right = true },
		{ .title = "UP", .right = true }, { .title = "URL" }, { .title = "HEALTH", .cut = true },
		{ .title = "AT BOOT" } };
	_cleanup_(table_freep) Table *table = table_new(columns, ELEMENTSOF(columns));
	_cleanup_strlist_ StrList names = { 0 };
	int r = table ? service_names(&names, ret_reason) : reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	bool some = false;

	if (json && r == 0)
		(void)fputc('[', stdout);
	for (size_t i = 0; i < names.n && r == 0; i++) {
		_cleanup_service_ Service service = { 0 };
		_cleanup_state_ ServiceState state = { 0 };
		Reason why;
		int known = service_load(names.items[i], &service, &why);

		/* one whose file cannot be read, or is no unit's, is not in systemd's list either; one that went meanwhile is none */
		if (known < 0) {
			if (known != -ENOENT)
				reason_tell("service", names.items[i], why.text);
			continue;
		}
		r = look(manager, &service, LIST_PROBE_MSEC, &state, ret_reason);
		if (r == 0 && json) {
			(void)fputs(some ? "," : "", stdout);
			service_tell_json(stdout, &service, &state, NULL, NULL);
		} else if (r == 0 && row_add(table, &service, &state) < 0) {
			r = reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		}
		some = true;
	}
	if (r < 0)
		return r;
	if (json)
		(void)fputs("]\n", stdout);
	else if (!some)
		(void)printf("there are no services; creel service create makes one\n");
	else
		table_print(table, stdout, terminal_width(stdout), terminal_colours(stdout));
	return 0;
}

int service_list_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	bool json = false;
	const Option options[] = { { .name = "--json", .flag = &json }, { 0 } };
	Words words = { 0 };
	Reason reason;
	int r = options_read(argc, argv, options, &words, &reason);

	if (r == 0)
		r = manager_connect(&manager, &reason);
	else
		r = EXIT_WRONG_USAGE;
	if (r == 0)
		r = list(manager, json, &reason);
	if (r == 0)
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	reason_tell("service", NULL, reason.text);
	return r == EXIT_WRONG_USAGE ? r : EXIT_FAILURE;
}

static void show_tail(const Service *service)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	JournalLine line;
	Reason ignored;

	if (journal_open(service->unit, &journal, &ignored) < 0 || journal_from_tail(journal, STATUS_LINES) < 0)
		return;
	while (journal_next(journal, &line) > 0) {
		_cleanup_free_ char *clean = NULL;
		char when[32];
		size_t n;

		if (text_clean(line.text, line.n, true, &clean, &n) == 0)
			(void)printf("  | %s %s%s\n", when_text(line.usec, when, sizeof(when)),
				line.by_manager ? "systemd: " : "", clean);
	}
}

static void show(const Service *service, const ServiceState *state)
{
	const Unit *unit = &state->unit;
	char words[256], up[32];

	if (service_runs(state)) {
		service_tell(service, state);
		(void)printf("  up    %s, %s\n", span_text(now_realtime() - unit->active_usec, up, sizeof(up)),
			strcmp(unit->enabled, "enabled") == 0 ? "and comes back after a reboot"
							      : "and does not come back after a reboot");
	} else {
		(void)printf("%s is not running (%s%s%s)\n  file  %s\n", service->name, state_word(state),
			strcmp(unit->result, "success") == 0 || !*unit->result ? "" : ": ",
			strcmp(unit->result, "success") == 0 ? "" : unit->result, service->path);
		if (unit->code)
			(void)printf("  ended %s, with %s %d\n", when_text(unit->ended_usec, words, sizeof(words)),
				unit->code == CLD_EXITED ? "status" : "signal", unit->status);
	}
	if (unit->reload_needed)
		(void)printf("  the file was changed since it was started: creel service restart %s\n", service->name);
	show_tail(service);
}

int service_status_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_service_ Service service = { 0 };
	_cleanup_state_ ServiceState state = { 0 };
	bool json = false;
	const Option options[] = { { .name = "--json", .flag = &json }, { 0 } };
	const char *name;
	Reason reason;
	int r = service_words("status", argc, argv, options, &name);

	if (r)
		return r;
	r = service_load(name, &service, &reason);
	if (r == 0)
		r = manager_connect(&manager, &reason);
	if (r == 0)
		r = look(manager, &service, STATUS_PROBE_MSEC, &state, &reason);
	if (r < 0) {
		reason_tell("service", name, reason.text);
		return EXIT_FAILURE;
	}
	if (json) {
		service_tell_json(stdout, &service, &state, NULL, NULL);
		(void)fputc('\n', stdout);
	} else {
		show(&service, &state);
	}
	if (strcmp(state.unit.load, "loaded") != 0) {
		Reason why;

		service_file_why(&service, &state.unit, &why);
		reason_tell("service", name, why.text);
	}
	if (fflush(stdout) != 0)
		return EXIT_FAILURE;
	return service_runs(&state) ? EXIT_SUCCESS : EXIT_NOT_RUNNING;
}

/* SPDX-License-Identifier: MIT */
/* creel stop: ends what a row of creel ps is about, in the way of its kind. */
#include "shell/bus/bus.h"
#include "shell/bus/client.h"
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/jobs/child.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/end.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/options.h"
#include "shell/jobs/pidfile.h"
#include "shell/jobs/select.h"
#include "shell/jobs/span.h"

#include <string.h>

#define GRACE_USEC (10 * USEC_PER_SEC)
#define SCREEN_USEC (5 * USEC_PER_SEC)
#define SCREEN_SAYS_MAX 4096U
#define UNIT_USEC (120 * USEC_PER_SEC) /* systemd itself takes to SIGKILL after 90 seconds */

static int usage(FILE *file)
{
	(void)fprintf(file, "usage: creel stop [--kind KIND] [--grace TIME] [--json] NAME|PID\n"
			    "see creel-ps(1)\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_WRONG_USAGE;
}

static int stop_unit(const Row *row, Reason *ret_reason)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	int r = manager_connect(&manager, ret_reason);

	if (r < 0)
		return r;
	if (row->kind == ROW_CRON && row->pid) {
		_cleanup_free_ char *service = str_format(CRON_UNIT_PREFIX "%s.service", row->name);

		if (!service)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		r = manager_change(manager, "StopUnit", service, UNIT_USEC, ret_reason);
		if (r < 0)
			return r;
	}
	r = manager_change(manager, "StopUnit", row->unit, UNIT_USEC, ret_reason);
	/* what failed is not listed for ever */
	if (r == 0)
		manager_reset(manager, row->unit);
	return r;
}

/* One method of the keeper's. */
static int ask_keeper(const Row *row, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	uint64_t number = 0;
	int r;

	if (row->kind == ROW_RUN && str_to_u64(row->name, UINT64_MAX, &number) < 0)
		return reason_set(ret_reason, -EINVAL, "it has no number");
	r = keeper_connect(getuid(), &bus);
	if (r >= 0 && row->kind == ROW_RUN)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Stop", &error, &reply, "t", number);
	else if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Reset", &error, &reply, "ss",
			row->unit ? row->unit : "python", row->name);
	if (r < 0)
		(void)keeper_failure(r, &error, ret_reason->text, sizeof(ret_reason->text));
	return r < 0 ? r : 0;
}

static int end_pids(
	const Gathered *gathered, const pid_t *pids, size_t n, bool hang_up, uint64_t grace_usec, Reason *ret_reason)
{
	int r = processes_end(&gathered->processes, pids, n, hang_up, grace_usec);

	if (r == -ETIMEDOUT)
		return reason_set(ret_reason, r,
			"a process does not end, also not by SIGKILL: it waits for a device; look again later");
	return r < 0 ? reason_set(ret_reason, r, "%s", strerror(-r)) : 0;
}

/* As a person would end it; what does not listen is ended by signals. */
static int stop_screen(const Gathered *gathered, const Row *row, uint64_t grace_usec, Reason *ret_reason)
{
	_cleanup_free_ char *name = str_format("%d.%s", (int)row->pid, row->name);
	_cleanup_free_ char *said = NULL;
	const char *const argv[] = { "screen", "-S", name, "-X", "quit", NULL };
	Reason ignored;

	if (!name)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	(void)!child_read(argv, SCREEN_USEC, SCREEN_SAYS_MAX, &said, &ignored);
	return end_pids(gathered, row->pids, row->n_pids, row->kind == ROW_SESSION, grace_usec, ret_reason);
}

static int stop_row(const Gathered *gathered, const Row *row, uint64_t grace_usec, Reason *ret_reason)
{
	int r;

	switch (row->kind) {
	case ROW_JOB:
	case ROW_SERVICE:
	case ROW_CRON:
	case ROW_TIMER:
		if (row->unit)
			return stop_unit(row, ret_reason);
		break;
	case ROW_RUN:
	case ROW_REPL:
		return ask_keeper(row, ret_reason);
	case ROW_SCREEN:
		return stop_screen(gathered, row, grace_usec, ret_reason);
	case ROW_SYSTEM:
		return reason_set(
			ret_reason, -EPERM, "it is part of the user manager, which all services and jobs need");
	case ROW_SESSION:
		if (row_has_pid(row, getpid()))
			return reason_set(ret_reason, -EPERM, "this is the login that you are in: exit ends it");
		break;
	default:
		break;
	}
	if (!row->n_pids)
		return reason_set(ret_reason, -EPERM,
			"whose it is cannot be told from here: the strays and logins of creel ps may hold it");
	r = end_pids(gathered, row->pids, row->n_pids, row->kind == ROW_SESSION, grace_usec, ret_reason);
	if (r == 0 && row->kind == ROW_PROCESS)
		pidfile_remove(row->name);
	return r;
}

static void tell(const Row *row, pid_t pid, bool json)
{
	bool first = true;

	if (!json) {
		if (pid)
			(void)printf("stopped process %d of %s %s\n", (int)pid, row_kind_name(row->kind), row->name);
		else
			(void)printf("stopped %s %s\n", row_kind_name(row->kind), row->name);
		return;
	}
	(void)putchar('{');
	json_text(stdout, &first, "kind", row_kind_name(row->kind));
	json_text(stdout, &first, "name", row->name);
	json_number(stdout, &first, "pid", pid ? (uint64_t)pid : row->pid ? (uint64_t)row->pid : UINT64_MAX);
	json_bool(stdout, &first, "whole", pid == 0);
	(void)puts("}");
}

int ps_stop_main(int argc, char **argv)
{
	_cleanup_gathered_ Gathered gathered = { 0 };
	const char *kind = NULL, *grace = NULL, *word = NULL;
	bool json = false;
	const Option options[] = {
		{ .name = "--kind", .value = &kind },
		{ .name = "--grace", .value = &grace },
		{ .name = "--json", .flag = &json },
		{ 0 },
	};
	Words words = { .items = &word, .max = 1 };
	uint64_t grace_usec = GRACE_USEC;
	const Row *row = NULL;
	Reason reason;
	RowKind row_kind = ROW_STRAY;
	pid_t pid = 0;
	int r;

	if (argc == 1 && options_help(argc, argv))
		return usage(stdout);
	r = options_read(argc, argv, options, &words, &reason);
	if (r == 0 && kind && row_kind_parse(kind, &row_kind) < 0)
		r = reason_set(&reason, -EINVAL, "there is no kind `%s`", kind);
	if (r == 0 && grace && span_parse(grace, &grace_usec) < 0)
		r = reason_set(&reason, -EINVAL, "`%s` is no time, as in 10s", grace);
	if (r < 0)
		reason_tell("stop", NULL, reason.text);
	if (r < 0 || !word || !*word || words.command)
		return usage(stderr);

	r = gather(&gathered);
	if (r < 0)
		r = reason_set(&reason, r, "%s", strerror(-r));
	else
		r = row_select(&gathered, word, kind ? (int)row_kind : -1, &row, &pid, &reason);
	if (r == -ENOENT && *gathered.manager.text)
		reason_tell("stop", NULL, gathered.manager.text);
	if (r == 0 && row && pid && row->kind == ROW_SYSTEM)
		pid = 0;
	if (r == 0 && row)
		r = pid ? end_pids(&gathered, &pid, 1, false, grace_usec, &reason)
			: stop_row(&gathered, row, grace_usec, &reason);
	if (r < 0 || !row) {
		reason_tell("stop", word, reason.text);
		return EXIT_FAILURE;
	}
	tell(row, pid, json);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

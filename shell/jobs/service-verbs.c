/* SPDX-License-Identifier: MIT */
/* creel service logs, start, restart, stop and rm (service.h). */
#include "shell/base/json.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/journal.h"
#include "shell/jobs/options.h"
#include "shell/jobs/service.h"
#include "shell/tools/clean.h"

#include <string.h>

#define LOG_LINES 100U

/* Loads the service, and the manager unless `ret_manager` is NULL. Tells what is wrong. */
static int begin(const char *name, Service *ret, Manager **ret_manager)
{
	Reason reason;
	int r = service_load(name, ret, &reason);

	if (r == 0 && ret_manager)
		r = manager_connect(ret_manager, &reason);
	if (r < 0)
		reason_tell("service", name, reason.text);
	return r;
}

static int end(const char *name, int r, const Reason *reason)
{
	if (r < 0)
		reason_tell("service", name, reason->text);
	return r < 0 || fflush(stdout) != 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* ---- logs ---- */

static void show_line(const JournalLine *line, bool json, bool terminal)
{
	_cleanup_free_ char *clean = NULL;
	char when[32];
	bool first = true;
	size_t n;

	if (json) {
		(void)fputc('{', stdout);
		json_text(stdout, &first, "time", when_json(line->usec, when, sizeof(when)));
		json_text(stdout, &first, "by", line->by_manager ? "systemd" : "service");
		json_text(stdout, &first, "message", line->text);
		(void)fputs("}\n", stdout);
		return;
	}
	(void)printf("%s %s", when_text(line->usec, when, sizeof(when)), line->by_manager ? "systemd: " : "");
	if (terminal && text_clean(line->text, line->n, true, &clean, &n) == 0)
		(void)puts(clean);
	else
		(void)puts(line->text);
}

int service_logs_main(int argc, char **argv)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	_cleanup_service_ Service service = { 0 };
	bool follow = false, json = false;
	const char *name, *lines = NULL;
	const Option options[] = { { .name = "--follow", .letter = "-f", .flag = &follow },
		{ .name = "--lines", .letter = "-n", .value = &lines }, { .name = "--json", .flag = &json }, { 0 } };
	uint64_t n = LOG_LINES;
	JournalLine line;
	Reason reason;
	int r = service_words("logs", argc, argv, options, &name);

	if (r)
		return r;
	if (lines && str_to_u64(lines, UINT32_MAX, &n) < 0) {
		reason_tell("service", name, "-n: a number of lines");
		return EXIT_WRONG_USAGE;
	}
	if (begin(name, &service, NULL) < 0)
		return EXIT_FAILURE;
	r = journal_open(service.unit, &journal, &reason);
	if (r == 0) {
		r = journal_from_tail(journal, n);
		(void)reason_set(&reason, r, "the journal: %s", strerror(-r));
	}
	while (r >= 0) {
		r = journal_next(journal, &line);
		if (r > 0)
			show_line(&line, json, isatty(STDOUT_FILENO));
		else if (r == 0 && follow)
			r = journal_follow(journal);
		else
			break;
		if (r < 0)
			(void)reason_set(&reason, r, "the journal: %s", strerror(-r));
	}
	return end(name, r == -EPIPE ? 0 : r, &reason);
}

/* ---- start, restart ---- */

static int start(const char *method, int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_service_ Service service = { 0 };
	_cleanup_state_ ServiceState state = { 0 };
	ServiceWait wait = { .timeout_usec = SERVICE_TIMEOUT };
	const char *name, *timeout = NULL;
	const Option options[] = { { .name = "--timeout", .value = &timeout },
		{ .name = "--json", .flag = &wait.quiet }, { 0 } };
	Reason reason;
	int r = service_words(strcmp(method, "StartUnit") == 0 ? "start" : "restart", argc, argv, options, &name);

	if (r)
		return r;
	if (timeout && span_parse(timeout, &wait.timeout_usec) < 0) {
		reason_tell("service", name, "--timeout: a time, as in 15s or 2m");
		return EXIT_WRONG_USAGE;
	}
	if (begin(name, &service, &manager) < 0)
		return EXIT_FAILURE;
	r = service_start(manager, &service, method, &wait, &state, &reason);
	if (wait.quiet && (r == 0 || r == -EPROTO)) {
		service_tell_json(stdout, &service, &state, &wait.tail, r < 0 ? reason.text : NULL);
		(void)fputc('\n', stdout);
	} else if (r == 0) {
		service_tell(&service, &state);
	}
	strlist_done(&wait.tail);
	return end(name, r, &reason);
}

int service_start_main(int argc, char **argv)
{
	return start("StartUnit", argc, argv);
}

int service_restart_main(int argc, char **argv)
{
	return start("RestartUnit", argc, argv);
}

/* ---- stop, rm ---- */

static int stop(Manager *manager, const Service *service, Reason *ret_reason)
{
	int r = manager_change(manager, "StopUnit", service->unit, SERVICE_JOB_TIMEOUT, ret_reason);

	return r == -ENOENT ? 0 : r;
}

int service_stop_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_service_ Service service = { 0 };
	_cleanup_unit_ Unit unit = { 0 };
	const Option options[] = { { 0 } };
	const char *name;
	Reason reason;
	int r = service_words("stop", argc, argv, options, &name);

	if (r)
		return r;
	if (begin(name, &service, &manager) < 0)
		return EXIT_FAILURE;
	r = manager_unit(manager, service.unit, &unit, &reason);
	if (r == -ENOENT || (r == 0 && !unit_lives(&unit))) {
		(void)printf("%s was not running\n", service.name);
		return EXIT_SUCCESS;
	}
	if (r == 0)
		r = stop(manager, &service, &reason);
	if (r == 0)
		(void)printf("%s is stopped%s%s\n", service.name,
			strcmp(unit.enabled, "enabled") == 0
				? "; it comes back after a reboot, unless: creel service rm "
				: "",
			strcmp(unit.enabled, "enabled") == 0 ? service.name : "");
	return end(name, r, &reason);
}

static int file_remove(const Service *service, Reason *ret_reason)
{
	_cleanup_close_ int folder_fd = folder_open(FOLDER_UNITS, false, ret_reason);

	if (folder_fd < 0)
		return folder_fd;
	if (unlinkat(folder_fd, service->unit, 0) < 0)
		return reason_set(ret_reason, -errno, "%s: %s", service->path, strerror(errno));
	return 0;
}

int service_rm_main(int argc, char **argv)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_service_ Service service = { 0 };
	bool force = false;
	const Option options[] = { { .name = "--force", .letter = "-f", .flag = &force }, { 0 } };
	const char *name;
	Reason reason;
	int r = service_words("rm", argc, argv, options, &name);

	if (r)
		return r;
	if (begin(name, &service, &manager) < 0)
		return EXIT_FAILURE;
	if (!service.own && !force) {
		(void)reason_set(&reason, 0, "%s was written by hand: --force removes it all the same", service.path);
		return end(name, -EPERM, &reason);
	}
	r = stop(manager, &service, &reason);
	if (r == 0)
		r = manager_disable(manager, service.unit, &reason);
	if (r == 0)
		r = file_remove(&service, &reason);
	if (r == 0) {
		manager_reset(manager, service.unit);
		r = manager_reload(manager, &reason);
	}
	if (r == 0)
		(void)printf("%s is stopped, and its file removed\n", service.name);
	return end(name, r, &reason);
}

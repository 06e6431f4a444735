/* SPDX-License-Identifier: MIT */
/*
 * What goes into the record of jobs, services and cron jobs: an entry when the agent's user manager starts a process for one, an entry
 * when that ends. That there was such a process, how it ended and what it used is what the kernel told (shell/policy/executions.h). In
 * which unit is the name of a folder of the cgroup tree that the manager made: the agent's own word, as all that its manager says.
 */
#include "shell/keeper/entry.h"
#include "shell/base/job-words.h"
#include "shell/base/str.h"

#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#define CRON "creel-cron-"

/* `ret_name`: the unit as creel's own words name it: a job without what creel puts around it. */
static const char *kind_of(const char *unit, bool start, const char **ret_name)
{
	*ret_name = unit;
	if (strncmp(unit, JOB_UNIT_PREFIX, strlen(JOB_UNIT_PREFIX)) == 0) {
		*ret_name = unit + strlen(JOB_UNIT_PREFIX);
		return start ? "job-start" : "job";
	}
	if (strncmp(unit, CRON, strlen(CRON)) == 0) {
		*ret_name = unit + strlen(CRON);
		return start ? "cron-start" : "cron";
	}
	return start ? "service-start" : "service";
}

static void begin(
	Keeper *keeper, const struct execution_unit *unit, bool start, const char *unit_name, RecordEntry *entry)
{
	const char *name, *kind = kind_of(unit_name, start, &name);
	size_t n = strlen(name), suffix = strlen(".service");

	keeper_entry_begin(keeper, entry, kind, LOG_INFO);
	entry_text(entry, "CREEL_UNIT", unit_name);
	if (n > suffix && strcmp(name + n - suffix, ".service") == 0)
		n -= suffix;
	entry_bytes(entry, "CREEL_LABEL", name, n);
	entry_number(entry, "CREEL_PID", unit->pid);
}

void keeper_record_unit_start(
	Keeper *keeper, const struct execution_unit *unit, const struct execution *execution, const char *line)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	char name[EXECUTION_PROGRAM], program[EXECUTION_PROGRAM], quoted[EXECUTION_PROGRAM];

	(void)snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, unit->unit);
	(void)snprintf(program, sizeof(program), "%.*s", (int)sizeof(program) - 1, execution->program);
	begin(keeper, unit, true, name, &entry);
	entry_text(&entry, "CREEL_PROGRAM", program);
	entry_text(&entry, "CREEL_ARGUMENTS", line ? line : "?");
	if (execution->bytes > EXECUTION_ARGUMENTS)
		entry.cut++;
	entry_format(&entry, "MESSAGE", "%s: %s begins: %s", keeper->identity->name,
		str_quote(name, strlen(name), quoted, sizeof(quoted)), program);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_unit(Keeper *keeper, const struct execution_unit *unit)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	char name[EXECUTION_PROGRAM], quoted[EXECUTION_PROGRAM];
	int status = (int)unit->status;
	const char *signal = WIFSIGNALED(status) ? sigabbrev_np(WTERMSIG(status)) : NULL;

	(void)snprintf(name, sizeof(name), "%.*s", (int)sizeof(name) - 1, unit->unit);
	begin(keeper, unit, false, name, &entry);
	(void)str_quote(name, strlen(name), quoted, sizeof(quoted));
	if (WIFEXITED(status)) {
		entry_format(&entry, "MESSAGE", "%s: %s: exit %d", keeper->identity->name, quoted, WEXITSTATUS(status));
		entry_text(&entry, "CREEL_RESULT", "exit");
		entry_number(&entry, "CREEL_EXIT", (uint64_t)WEXITSTATUS(status));
	} else {
		entry_format(&entry, "MESSAGE", "%s: %s: signal SIG%s", keeper->identity->name, quoted,
			signal ? signal : "?");
		entry_text(&entry, "CREEL_RESULT", "signal");
		entry_text(&entry, "CREEL_SIGNAL", signal);
	}
	entry_number(&entry, "CREEL_DURATION_USEC", unit->duration_nsec / 1000);
	entry_number(&entry, "CREEL_CPU_USEC", unit->cpu_nsec / 1000);
	entry_number(&entry, "CREEL_MEMORY_PEAK", unit->memory_pages * (uint64_t)sysconf(_SC_PAGESIZE));
	keeper_entry_send(keeper, &entry);
}

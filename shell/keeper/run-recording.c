/* SPDX-License-Identifier: MIT */
/*
 * What goes into the record of a run: one entry when it begins, with the code, so that it is there whatever comes; one at its
 * end, with what came of it. The environment, in which secrets may stand, goes nowhere.
 */
#include "shell/keeper/entry.h"
#include "shell/audit/redact.h"
#include "shell/keeper/run.h"

#include <string.h>

#define CODE_MAX (64U * 1024)   /* bytes of code that an entry holds: longer code is cut, and its length told */
#define OUTPUT_MAX (16U * 1024) /* of stdout and of stderr, each: their beginning */

/* Who called: a session of ours, or what the kernel says of the calling process. */
static void entry_caller(const Keeper *keeper, const char *place, RecordEntry *entry)
{
	const char *id = strstr(place, "/session-");
	const Session *session = id ? session_find((Keeper *)keeper, id + strlen("/session-")) : NULL;

	if (session)
		keeper_entry_session(session, entry);
	entry_text(entry, "CREEL_CALLER", place);
}

static void entry_run(const Run *run, RecordEntry *entry)
{
	const RunOptions *options = &run->options;

	entry_number(entry, "CREEL_RUN", run->number);
	entry_text(entry, "CREEL_LANGUAGE", options->language);
	entry_text(entry, "CREEL_LABEL", options->label);
	entry_text(entry, "CREEL_REPL", options->session);
	entry_caller(run->keeper, run->caller, entry);
}

static void entry_code(const Run *run, RecordEntry *entry)
{
	static char code[CODE_MAX]; /* one thread */
	ssize_t n = pread(run->code_fd, code, sizeof(code), 0);

	if (n > 0)
		entry_bytes(entry, "CREEL_CODE", code, (size_t)n);
	entry_number(entry, "CREEL_CODE_BYTES", run->code_bytes);
}

static void entry_limit(RecordEntry *entry, const char *field, uint64_t value)
{
	if (value != LEAF_UNLIMITED)
		entry_number(entry, field, value);
}

static const char *kind_of(const Run *run)
{
	return run->options.independent ? "independent" : "run";
}

void keeper_record_run_start(const Run *run)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	const RunOptions *options = &run->options;
	Keeper *keeper = run->keeper;
	char label[4 * RUN_LABEL_MAX + 1];

	keeper_entry_begin(keeper, &entry, "run-start", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: %s %llu begins: %s \"%s\", %llu bytes", keeper->identity->name,
		kind_of(run), (unsigned long long)run->number, options->language,
		redact_quote(options->label, label, sizeof(label)), (unsigned long long)run->code_bytes);
	entry_run(run, &entry);
	if (keeper->policy && keeper->policy->audit_code)
		entry_code(run, &entry);
	entry_text(&entry, "CREEL_NETWORK", options->network);
	entry_text(&entry, "CREEL_DIRECTORY", options->directory);
	entry_text(&entry, "CREEL_INDEPENDENT", options->independent ? "yes" : "no");
	entry_number(&entry, "CREEL_TIMEOUT_USEC", options->timeout_usec);
	entry_limit(&entry, "CREEL_MEMORY_LIMIT", options->memory);
	entry_limit(&entry, "CREEL_CPU_LIMIT", options->cpu);
	entry_limit(&entry, "CREEL_PROCESSES_LIMIT", options->processes);
	keeper_entry_send(keeper, &entry);
}

static void entry_output(RecordEntry *entry, const char *field, const char *count, const Stream *stream)
{
	if (stream->head_n)
		entry_bytes(entry, field, stream->head, stream->head_n < OUTPUT_MAX ? stream->head_n : OUTPUT_MAX);
	entry_number(entry, count, stream->bytes);
}

void keeper_record_run(const Run *run, const RunResult *result)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	Keeper *keeper = run->keeper;
	const char *reason = run_reason_name(result->reason);
	char error[160];

	keeper_entry_begin(keeper, &entry, "run", LOG_INFO);
	entry_format(&entry, "MESSAGE", "%s: %s %llu: %s%s%s", keeper->identity->name, kind_of(run),
		(unsigned long long)run->number, reason, *result->error ? ": " : "",
		redact_quote(result->error, error, sizeof(error)));
	entry_run(run, &entry);
	entry_text(&entry, "CREEL_RESULT", reason);
	entry_text(&entry, "CREEL_REASON", result->error);
	if (result->exit_code >= 0)
		entry_number(&entry, "CREEL_EXIT", (uint64_t)result->exit_code);
	if (result->signal)
		entry_text(&entry, "CREEL_SIGNAL", sigabbrev_np(result->signal));
	entry_text(&entry, "CREEL_STATE", run_state_name(result->state));
	if (keeper->policy && keeper->policy->audit_output) {
		entry_output(&entry, "CREEL_STDOUT", "CREEL_STDOUT_BYTES", &run->output);
		entry_output(&entry, "CREEL_STDERR", "CREEL_STDERR_BYTES", &run->error);
	}
	entry_number(&entry, "CREEL_DURATION_USEC", result->duration_usec);
	entry_number(&entry, "CREEL_CPU_USEC", result->cpu_usec);
	entry_number(&entry, "CREEL_MEMORY_PEAK", result->memory_peak);
	if (run->usage.oom_kills)
		entry_number(&entry, "CREEL_OOM_KILLS", run->usage.oom_kills);
	if (run->usage.tasks_refused)
		entry_number(&entry, "CREEL_TASKS_REFUSED", run->usage.tasks_refused);
	keeper_entry_send(keeper, &entry);
}

void keeper_record_run_abandoned(Keeper *keeper, const char *leaf)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	const char *number = strncmp(leaf, "run-", 4) == 0 ? leaf + 4 : NULL;

	keeper_entry_begin(keeper, &entry, "run", LOG_NOTICE);
	entry_format(&entry, "MESSAGE", "%s: %s: cancelled: its keeper ended", keeper->identity->name, leaf);
	entry_text(&entry, "CREEL_RUN", number);
	entry_text(&entry, "CREEL_REPL", number ? NULL : leaf + strlen("repl-"));
	entry_text(&entry, "CREEL_RESULT", run_reason_name(RUN_CANCELLED));
	entry_text(&entry, "CREEL_REASON", "its keeper ended");
	keeper_entry_send(keeper, &entry);
}

void keeper_record_run_refusal(Keeper *keeper, const Peer *peer, const RunOptions *asked, const char *why)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	char place[PLACE_SIZE], quoted[512];
	uint64_t suppressed;

	if (!rate_take(&keeper->run_refusals, &suppressed))
		return;
	if (place_read(peer->pid, keeper->uid, place) < 0)
		place[0] = '\0';
	keeper_entry_begin(keeper, &entry, "run", LOG_NOTICE);
	entry_format(&entry, "MESSAGE", "%s: run refused: %s", keeper->identity->name,
		str_quote(why, strlen(why), quoted, sizeof(quoted)));
	entry_text(&entry, "CREEL_LANGUAGE", asked->language);
	entry_text(&entry, "CREEL_LABEL", asked->label);
	entry_text(&entry, "CREEL_REPL", asked->session);
	entry_caller(keeper, place, &entry);
	entry_text(&entry, "CREEL_RESULT", run_reason_name(RUN_REFUSED));
	entry_text(&entry, "CREEL_REASON", why);
	if (suppressed)
		entry_number(&entry, "CREEL_SUPPRESSED", suppressed);
	keeper_entry_send(keeper, &entry);
}

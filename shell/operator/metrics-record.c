/* SPDX-License-Identifier: MIT */
/*
 * Metrics that are counted from the record. Labels are few: an agent's name, and words of ours; what agents chose - names of jobs,
 * commands, hosts - is none, so that nobody makes series without end.
 */
#include "shell/audit/kinds.h"
#include "shell/operator/metrics.h"

#include <string.h>

/* name, what it tells */
#define GAUGE(metric, text)                                        \
	{                                                          \
		.name = metric, .help = text, .type = SERIES_GAUGE \
	}
#define COUNTER(metric, text)                                        \
	{                                                            \
		.name = metric, .help = text, .type = SERIES_COUNTER \
	}
#define SECONDS(metric, text)                                                      \
	{                                                                          \
		.name = metric, .help = text, .type = SERIES_COUNTER, .usec = true \
	}
#define HISTOGRAM(metric, text)                                                      \
	{                                                                            \
		.name = metric, .help = text, .type = SERIES_HISTOGRAM, .usec = true \
	}

const Family metrics_families[] = {
	GAUGE("creel_build_info", "Version of creel; always 1."),
	GAUGE("creel_agents", "Agents, by what creelctl agent list says of them."),
	GAUGE("creel_keeper_up", "Whether the agent's keeper answers."),
	GAUGE("creel_sessions", "Logins that are open."),
	GAUGE("creel_sessions_limit", "Logins that may be open at a time ([limits] sessions)."),
	GAUGE("creel_memory_bytes", "Memory of all that the agent runs."),
	GAUGE("creel_memory_limit_bytes", "Its limit; left out where there is none."),
	GAUGE("creel_swap_bytes", "Swap of all that the agent runs."),
	GAUGE("creel_processes", "Processes of the agent."),
	GAUGE("creel_processes_limit", "Their limit; left out where there is none."),
	GAUGE("creel_disk_bytes", "What the agent has on its home's file system."),
	GAUGE("creel_disk_limit_bytes", "Its limit; left out where there is none."),
	COUNTER("creel_network_sent_bytes_total", "Sent in this month, without loopback; begins anew with a month."),
	COUNTER("creel_network_received_bytes_total",
		"Received in this month, without loopback; begins anew with a month."),
	SECONDS("creel_cpu_seconds_total", "CPU time of all that the agent runs, since the machine started."),
	SECONDS("creel_cpu_throttled_seconds_total",
		"Time that it waited for its CPU limit, since the machine started."),
	COUNTER("creel_limit_hits_total", "How often a limit was met, since the machine started: memory, oom (a "
					  "process was killed), tasks, processes, cpu."),
	COUNTER("creel_logins_total", "Logins, by door."),
	COUNTER("creel_login_refusals_total", "Logins that were refused; without an agent where it was nobody's name."),
	COUNTER("creel_commands_total", "Commands that ended, by result."),
	HISTOGRAM("creel_command_duration_seconds", "How long commands took."),
	COUNTER("creel_runs_total", "Runs that ended, by language and result."),
	HISTOGRAM("creel_run_duration_seconds", "How long runs took."),
	COUNTER("creel_units_ended_total", "Jobs, services and cron runs that ended, by kind and result."),
	COUNTER("creel_refusals_total", "What an agent asked for and was refused, by kind."),
	COUNTER("creel_policy_changes_total", "Changes of an agent's policy that took effect."),
	COUNTER("creel_record_entries_total", "Entries of the record, by kind."),
	COUNTER("creel_record_lost_total", "Entries that were not written, or held back as too many."),
	GAUGE("creel_record_disk_bytes", "What the record takes on disk."),
	{ .name = NULL },
};

int metrics_begin(SeriesTable *table, const char *agent)
{
	int r = series_add(table, 0, "creel_logins_total{agent=\"%s\",door=\"ssh\"}", agent);

	if (r == 0)
		r = series_add(table, 0, "creel_login_refusals_total{agent=\"%s\"}", agent);
	if (r == 0)
		r = series_add(table, 0, "creel_record_lost_total{agent=\"%s\"}", agent);
	return r;
}

static const char *label_of(const RecordView *view, RecordField field, char buffer[static SERIES_LABEL_SIZE])
{
	return series_label(view->values[field] ? view->values[field] : "", buffer);
}

static int count_end(SeriesTable *table, const RecordView *view, const char *agent, const char *kind)
{
	char result[SERIES_LABEL_SIZE], language[SERIES_LABEL_SIZE], labels[64];
	const bool run = strcmp(kind, "run") == 0;
	int r;

	(void)label_of(view, RECORD_RESULT, result);
	if (run)
		r = series_add(table, 1, "creel_runs_total{agent=\"%s\",language=\"%s\",result=\"%s\"}", agent,
			label_of(view, RECORD_LANGUAGE, language), result);
	else
		r = series_add(table, 1, "creel_commands_total{agent=\"%s\",result=\"%s\"}", agent, result);
	if (r < 0 || !view->values[RECORD_DURATION])
		return r;
	(void)snprintf(labels, sizeof(labels), "agent=\"%s\"", agent);
	return series_observe(table, run ? "creel_run_duration_seconds" : "creel_command_duration_seconds", labels,
		record_number(view, RECORD_DURATION));
}

static int count_kind(SeriesTable *table, const RecordView *view, const char *agent, const char *kind)
{
	char label[SERIES_LABEL_SIZE];

	if (strcmp(kind, "login") == 0)
		return series_add(table, 1, "creel_logins_total{agent=\"%s\",door=\"%s\"}", agent,
			label_of(view, RECORD_DOOR, label));
	if (strcmp(kind, "refusal") == 0)
		return series_add(table, 1, "creel_login_refusals_total{agent=\"%s\"}", agent);
	if (strcmp(kind, "policy") == 0 && view->values[RECORD_CHANGE])
		return series_add(table, 1, "creel_policy_changes_total{agent=\"%s\"}", agent);
	if (str_equal(view->values[RECORD_RESULT], "refused"))
		return series_add(table, 1, "creel_refusals_total{agent=\"%s\",kind=\"%s\"}", agent, kind);
	if (strcmp(kind, "command") == 0 || strcmp(kind, "run") == 0)
		return count_end(table, view, agent, kind);
	if (strcmp(kind, "job") == 0 || strcmp(kind, "service") == 0 || strcmp(kind, "cron") == 0)
		return series_add(table, 1, "creel_units_ended_total{agent=\"%s\",kind=\"%s\",result=\"%s\"}", agent,
			kind, label_of(view, RECORD_RESULT, label));
	return 0;
}

int metrics_count(SeriesTable *table, const RecordView *view, const StrList *known)
{
	const char *agent = view->values[RECORD_AGENT], *kind = view->values[RECORD_KIND];
	uint64_t lost = record_number(view, RECORD_LOST) + record_number(view, RECORD_SUPPRESSED);
	int r;

	if (!kind || !record_kind_known(kind))
		return 0;
	if (!agent || !strlist_contains(known, agent))
		agent = "";
	r = series_add(table, 1, "creel_record_entries_total{kind=\"%s\"}", kind);
	if (r == 0 && lost)
		r = series_add(table, lost, "creel_record_lost_total{agent=\"%s\"}", agent);
	return r == 0 ? count_kind(table, view, agent, kind) : r;
}

/* SPDX-License-Identifier: MIT */
/* creelctl agent list, agent show: limits beside use. */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <string.h>

/* The keeper's socket is there: logins are possible as far as the machine goes. */
static bool keeper_listens(uid_t uid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), KEEPER_SOCKET_FORMAT, uid);
	return access(path, F_OK) == 0;
}

static bool is_frozen(uid_t uid)
{
	char path[96], text[8];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice/cgroup.freeze", uid);
	return file_get_at(AT_FDCWD, path, text, sizeof(text)) == 0 && strcmp(text, "1") == 0;
}

const char *agent_state(const Agent *agent, Policy **ret_policy, PolicyError *ret_error)
{
	int r = policy_load("", agent->name, ret_policy, ret_error);

	if (!agent->has_user)
		return "no user";
	if (!agent_uid_valid(agent))
		return "bad uid";
	if (r < 0)
		return "bad policy";
	if (units_are_stopped(agent->uid))
		return "stopped";
	if (!keeper_listens(agent->uid))
		return "down";
	if (is_frozen(agent->uid))
		return "frozen";
	return agent->locked ? "locked" : "ok";
}

/* The kernel's numbers alone: without a keeper, and for many agents at once. */
static void write_usage(FILE *file, const Policy *policy, const LimitRow rows[static LIMIT_ROWS])
{
	bool first_row = true;

	(void)fputc('[', file);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		UsageText text;
		Limit row = usage_row(&rows[i], policy, &text);

		(void)fputs(first_row ? "" : ",", file);
		first_row = false;
		limit_write(file, &row);
	}
	(void)fputc(']', file);
}

/* `reply`: the keeper's rows, or NULL. */
static void write_agent(FILE *file, const Agent *agent, const char *state, const Policy *policy,
	const PolicyError *error, const LimitRow rows[static LIMIT_ROWS], sd_bus_message *reply)
{
	bool first = true;

	(void)fputc('{', file);
	json_text(file, &first, "name", agent->name);
	json_text(file, &first, "state", state);
	json_text(file, &first, "policy", agent->file);
	json_text(file, &first, "profile", policy ? policy->profile : NULL);
	json_text(file, &first, "policy_error", policy || !error->text[0] ? NULL : error->text);
	if (agent->has_user) {
		json_number(file, &first, "uid", agent->uid);
		json_text(file, &first, "home", agent->home);
		json_text(file, &first, "shell", agent->shell);
		json_bool(file, &first, "locked", agent->locked);
		json_key(file, &first, "limits");
		if (!reply || limits_print(file, reply, true) < 0)
			write_usage(file, policy, rows);
	}
	(void)fputc('}', file);
}

static void list_line(const Agent *agent, const char *state, const LimitRow rows[static LIMIT_ROWS])
{
	char used[LIMIT_ROWS][24], limit[LIMIT_ROWS][24], uid[16] = "-";

	if (agent->has_user)
		(void)snprintf(uid, sizeof(uid), "%u", agent->uid);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		UsageText text;
		Limit row = usage_row(&rows[i], NULL, &text);

		(void)limit_number(row.name, row.use, used[i], sizeof(used[i]));
		(void)limit_number(row.name, row.limit, limit[i], sizeof(limit[i]));
	}
	(void)printf("%-16s %6s %-10s %8s / %-8s %5s / %-5s %9s\n", agent->name, uid, state, used[0], limit[0], used[2],
		limit[2], used[3]);
}

int agent_list_main(int argc, char **argv)
{
	_cleanup_strlist_ StrList names = { 0 };
	Reason reason = { "" };
	bool json = false;
	const WordOption options[] = { { "--json", .flag = &json }, { NULL } };
	int status = EXIT_SUCCESS;

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	if (agent_names(&names, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	if (json)
		(void)fputc('[', stdout);
	else
		(void)printf("%-16s %6s %-10s %8s / %-8s %5s / %-5s %9s\n", "AGENT", "UID", "STATE", "MEMORY", "LIMIT",
			"PROCS", "LIMIT", "CPU TIME");
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_(agent_done) Agent agent = { 0 };
		_cleanup_(policy_freep) Policy *policy = NULL;
		PolicyError error = { "" };
		LimitRow rows[LIMIT_ROWS] = { 0 };
		const char *state;

		if (agent_find(names.items[i], &agent, &reason) < 0) {
			(void)fprintf(stderr, "creelctl: %s\n", reason.text);
			status = EXIT_FAILURE;
			continue;
		}
		state = agent_state(&agent, &policy, &error);
		usage_read(agent.uid, rows);
		if (json) {
			(void)fputs(i ? ",\n" : "", stdout);
			write_agent(stdout, &agent, state, policy, &error, rows, NULL);
		} else {
			list_line(&agent, state, rows);
		}
	}
	if (json)
		(void)fputs("]\n", stdout);
	return status;
}

static void show_text(const Agent *agent, const char *state, const Policy *policy, const PolicyError *error,
	const LimitRow rows[static LIMIT_ROWS], sd_bus_message *reply, const char *why)
{
	(void)printf("agent:    %s\nstate:    %s\npolicy:   %s\n", agent->name, state, agent->file);
	if (!policy && error->text[0])
		(void)printf("error:    %s\n", error->text);
	if (policy)
		(void)printf("profile:  %s\n", policy->profile);
	if (!agent->has_user)
		return;
	(void)printf("uid:      %u\nhome:     %s\nshell:    %s\n", agent->uid, agent->home, agent->shell);
	if (!reply)
		(void)printf("keeper:   %s\n", why);
	(void)fputc('\n', stdout);
	if (reply && limits_print(stdout, reply, false) == 0)
		return;
	limit_show_head(stdout);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		UsageText text;
		Limit row = usage_row(&rows[i], policy, &text);

		limit_show(stdout, &row);
	}
}

int agent_show_main(int argc, char **argv)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_(policy_freep) Policy *policy = NULL;
	LimitRow rows[LIMIT_ROWS] = { 0 };
	PolicyError error = { "" };
	Reason reason = { "" };
	const char *name = NULL, *state;
	bool json = false;
	const WordOption options[] = { { "--json", .flag = &json }, { NULL } };

	if (words_parse(argc, argv, options, &name) < 0 || !name)
		return EXIT_USAGE;
	if (agent_find(name, &agent, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	if (!agent.has_file && !agent.marked) {
		(void)fprintf(stderr, "creelctl: there is no agent `%s`: see creelctl agent list\n", name);
		return EXIT_FAILURE;
	}
	state = agent_state(&agent, &policy, &error);
	usage_read(agent.uid, rows);
	/* the keeper knows more rows than the kernel's own files have; without it those are shown */
	if (agent_uid_valid(&agent) && limits_ask(agent.uid, &reply, reason.text, sizeof(reason.text)) < 0)
		reply = NULL;
	if (json) {
		write_agent(stdout, &agent, state, policy, &error, rows, reply);
		(void)fputc('\n', stdout);
	} else {
		show_text(&agent, state, policy, &error, rows, reply, reason.text);
	}
	return EXIT_SUCCESS;
}

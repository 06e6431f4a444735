/* SPDX-License-Identifier: MIT */
/* creelctl agent list, agent show: limits beside use. */
#include "shell/operator/operator.h"
#include "shell/base/json.h"
#include "shell/bus/bus.h"

#include <string.h>

/* The keeper's socket is there: logins are possible as far as the machine goes. */
static bool keeper_listens(uid_t uid)
{
	char path[64];

	(void)snprintf(path, sizeof(path), KEEPER_SOCKET_FORMAT, uid);
	return access(path, F_OK) == 0;
}

static const char *agent_state(const Agent *agent, Policy **ret_policy, PolicyError *ret_error)
{
	int r = policy_load("", agent->name, ret_policy, ret_error);

	if (!agent->has_user)
		return "no user";
	if (!agent_uid_valid(agent))
		return "bad uid";
	if (r < 0)
		return "bad policy";
	if (!keeper_listens(agent->uid))
		return "down";
	return agent->locked ? "locked" : "ok";
}

static void write_limits(FILE *file, bool *first, const LimitRow rows[static LIMIT_ROWS])
{
	bool first_row = true;

	json_key(file, first, "limits");
	(void)fputc('[', file);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		bool first_member = true;

		(void)fputs(first_row ? "{" : ",{", file);
		first_row = false;
		json_text(file, &first_member, "name", rows[i].name);
		json_text(file, &first_member, "unit", rows[i].unit);
		json_number(file, &first_member, "limit", rows[i].limit);
		json_number(file, &first_member, "used", rows[i].used);
		(void)fputc('}', file);
	}
	(void)fputc(']', file);
}

static void write_agent(FILE *file, const Agent *agent, const char *state, const Policy *policy,
	const PolicyError *error, const LimitRow rows[static LIMIT_ROWS])
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
		write_limits(file, &first, rows);
	}
	(void)fputc('}', file);
}

static void list_line(const Agent *agent, const char *state, const LimitRow rows[static LIMIT_ROWS])
{
	char used[LIMIT_ROWS][24], limit[LIMIT_ROWS][24], uid[16] = "-";

	if (agent->has_user)
		(void)snprintf(uid, sizeof(uid), "%u", agent->uid);
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		(void)usage_text(&rows[i], rows[i].used, used[i], sizeof(used[i]));
		(void)usage_text(&rows[i], rows[i].limit, limit[i], sizeof(limit[i]));
	}
	(void)printf("%-16s %6s %-10s %8s / %-8s %5s / %-5s %8ss\n", agent->name, uid, state, used[0], limit[0],
		used[2], limit[2], used[3]);
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
			"TASKS", "LIMIT", "CPU TIME");
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
			write_agent(stdout, &agent, state, policy, &error, rows);
		} else {
			list_line(&agent, state, rows);
		}
	}
	if (json)
		(void)fputs("]\n", stdout);
	return status;
}

static void show_text(const Agent *agent, const char *state, const Policy *policy, const PolicyError *error,
	const LimitRow rows[static LIMIT_ROWS])
{
	static const char *const policy_keys[LIMIT_ROWS] = { "memory", "swap", "processes", "cpu" };
	char used[24], limit[24];

	(void)printf("agent:    %s\nstate:    %s\npolicy:   %s\n", agent->name, state, agent->file);
	if (!policy && error->text[0])
		(void)printf("error:    %s\n", error->text);
	if (policy)
		(void)printf("profile:  %s\n", policy->profile);
	if (!agent->has_user)
		return;
	(void)printf("uid:      %u\nhome:     %s\nshell:    %s\n\n", agent->uid, agent->home, agent->shell);
	(void)printf("%-12s %10s %10s  %s\n", "LIMIT", "USED", "OF", "FROM");
	for (size_t i = 0; i < LIMIT_ROWS; i++) {
		const char *section, *key, *origin, *from = "";
		bool enforced;
		char *value;

		for (size_t k = 0; policy && policy_row(policy, k, &section, &key, &value, &origin, &enforced); k++) {
			if (strcmp(section, "limits") == 0 && strcmp(key, policy_keys[i]) == 0)
				from = origin;
			free(value);
		}
		/* all agents together leave the system its part */
		if (i == 0 && policy && rows[i].limit < policy->memory)
			from = "the machine's memory";
		(void)usage_text(&rows[i], rows[i].used, used, sizeof(used));
		(void)usage_text(&rows[i], rows[i].limit, limit, sizeof(limit));
		if (strcmp(rows[i].unit, "usec") == 0)
			(void)printf("%-12s %9ss %4s cores  %s\n", rows[i].name, used, limit, from);
		else
			(void)printf("%-12s %10s %10s  %s\n", rows[i].name, used, limit, from);
	}
}

int agent_show_main(int argc, char **argv)
{
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
		(void)fprintf(stderr, "creelctl: there is no agent `%s`\n", name);
		return EXIT_FAILURE;
	}
	state = agent_state(&agent, &policy, &error);
	usage_read(agent.uid, rows);
	if (json) {
		write_agent(stdout, &agent, state, policy, &error, rows);
		(void)fputc('\n', stdout);
	} else {
		show_text(&agent, state, policy, &error, rows);
	}
	return EXIT_SUCCESS;
}

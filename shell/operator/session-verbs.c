/* SPDX-License-Identifier: MIT */
/*
 * creelctl session list, kill: the logins of all agents, as their keepers know them. A keeper that does not answer is named, and the
 * others' sessions are shown all the same.
 */
#include "shell/operator/operator.h"
#include "shell/base/json.h"
#include "shell/base/moment.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"

#include <string.h>
#include <time.h>

#define END_TRIES 100U /* of a tenth of a second */

typedef struct Shown {
	FILE *file;
	bool json, first;
	const char *agent, *wanted; /* an id that is looked for, or NULL */
	unsigned int n;
} Shown;

typedef struct Row {
	const char *id, *door, *peer, *key;
	uint64_t since_usec;
	int over;
	/* the oldest that runs */
	const char *kind, *command;
	uint64_t started_usec;
	uint32_t pid, running;
} Row;

static void show_json(Shown *shown, const Row *row)
{
	bool first = true;

	(void)fputs(shown->first ? "{" : ",\n{", shown->file);
	json_text(shown->file, &first, "agent", shown->agent);
	json_text(shown->file, &first, "session", row->id);
	json_text(shown->file, &first, "door", row->door);
	json_text(shown->file, &first, "peer", row->peer);
	json_text(shown->file, &first, "key", *row->key ? row->key : NULL);
	json_number(shown->file, &first, "since_usec", row->since_usec);
	json_text(shown->file, &first, "state", row->over ? "over" : "open");
	json_number(shown->file, &first, "running", row->running);
	json_text(shown->file, &first, "kind", row->kind);
	json_text(shown->file, &first, "command", row->command);
	json_number(shown->file, &first, "pid", row->running ? row->pid : UINT64_MAX);
	(void)fputc('}', shown->file);
}

static void show_line(Shown *shown, const Row *row)
{
	char peer[80], command[120], since[MOMENT_SIZE];

	if (shown->first)
		(void)fprintf(shown->file, "%-16s %-16s %-8s %-24s %-24s %4s %s\n", "AGENT", "SESSION", "DOOR", "SINCE",
			"FROM", "RUNS", "COMMAND");
	(void)str_quote(row->peer, strcspn(row->peer, " "), peer, sizeof(peer));
	(void)fprintf(shown->file, "%-16s %-16s %-8s %-24s %-24s %4u %s\n", shown->agent, row->id, row->door,
		moment_local(row->since_usec, since), peer, row->running,
		row->over ? "(closed; something that it left lives on)"
		: row->command && *row->command
			? str_quote(row->command, strlen(row->command), command, sizeof(command))
		: row->kind ? row->kind
			    : "-");
}

static int read_row(sd_bus_message *reply, Row *ret)
{
	const char *kind, *command;
	uint32_t number, pid;
	uint64_t started;
	int r;

	r = sd_bus_message_read(
		reply, "sssstb", &ret->id, &ret->door, &ret->peer, &ret->key, &ret->since_usec, &ret->over);
	if (r >= 0)
		r = sd_bus_message_enter_container(reply, 'a', "(uusst)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(uusst)", &number, &pid, &kind, &command, &started)) > 0) {
		if (!ret->running || started < ret->started_usec) {
			ret->kind = kind;
			ret->command = command;
			ret->started_usec = started;
			ret->pid = pid;
		}
		ret->running++;
	}
	return r < 0 ? r : sd_bus_message_exit_container(reply);
}

static int show_all(Shown *shown, sd_bus_message *reply)
{
	int r = sd_bus_message_enter_container(reply, 'a', "(sssstba(uusst))");

	while (r >= 0 && (r = sd_bus_message_enter_container(reply, 'r', "sssstba(uusst)")) > 0) {
		Row row = { 0 };

		r = read_row(reply, &row);
		if (r < 0)
			return r;
		if (!shown->wanted || strcmp(row.id, shown->wanted) == 0) {
			if (shown->file && shown->json)
				show_json(shown, &row);
			else if (shown->file)
				show_line(shown, &row);
			shown->first = false;
			shown->n++;
		}
		r = sd_bus_message_exit_container(reply);
	}
	return r;
}

/* -ENOENT, -ECONNREFUSED: no keeper. */
static int ask(const Agent *agent, sd_bus **ret_bus, sd_bus_message **ret_reply, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	char why[512];
	int r;

	r = keeper_connect(agent->uid, &bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Sessions", &error, ret_reply, "");
	if (r < 0)
		return reason_set(ret_reason, r, "agent %s: its keeper: %s", agent->name,
			keeper_failure(r, &error, why, sizeof(why)));
	*ret_bus = TAKE_PTR(bus);
	return 0;
}

/* One agent's, into `shown`. */
static int list_agent(const char *name, Shown *shown, Reason *ret_reason)
{
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(agent_done) Agent agent = { 0 };
	int r;

	r = agent_find(name, &agent, ret_reason);
	if (r < 0)
		return r;
	if (!agent_uid_valid(&agent))
		return reason_set(ret_reason, -ENOENT, "there is no agent `%s`: see creelctl agent list", name);
	/* its keeper is not there, nor is a session */
	if (units_are_stopped(agent.uid))
		return 0;
	r = ask(&agent, &bus, &reply, ret_reason);
	if (r < 0)
		return r;
	shown->agent = agent.name;
	r = show_all(shown, reply);
	return r < 0 ? reason_set(ret_reason, r, "agent %s: its keeper: %s", name, strerror(-r)) : 0;
}

static int wanted_names(const char *agent, StrList *ret, Reason *ret_reason)
{
	int r;

	if (!agent)
		return agent_names(ret, ret_reason);
	r = strlist_add(ret, agent);
	return r < 0 ? reason_set(ret_reason, r, "%s", strerror(-r)) : 0;
}

int session_list_main(int argc, char **argv)
{
	_cleanup_strlist_ StrList names = { 0 };
	Shown shown = { .file = stdout, .first = true };
	const char *agent = NULL;
	const WordOption options[] = { { "--agent", .value = &agent }, { "--json", .flag = &shown.json }, { NULL } };
	Reason reason = { "" };
	int status = EXIT_SUCCESS;

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	if (wanted_names(agent, &names, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	if (shown.json)
		(void)fputc('[', stdout);
	for (size_t i = 0; i < names.n; i++)
		if (list_agent(names.items[i], &shown, &reason) < 0) {
			(void)fprintf(stderr, "creelctl: %s\n", reason.text);
			status = EXIT_FAILURE;
		}
	if (shown.json)
		(void)fputs("]\n", stdout);
	return status;
}

static bool session_lives(const char *agent, const char *id)
{
	Shown look = { .wanted = id };
	Reason ignored;

	return list_agent(agent, &look, &ignored) == 0 && look.n > 0;
}

/* Returns 0 when it is gone, -ENOENT when this agent has none of that name, or another negative errno. */
static int kill_of_agent(const char *name, const char *id, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	const struct timespec pause = { .tv_nsec = 100 * 1000 * 1000 };
	_cleanup_(agent_done) Agent agent = { 0 };
	Shown look = { .wanted = id };
	char why[512];
	int r;

	r = agent_find(name, &agent, ret_reason);
	if (r < 0)
		return r;
	if (!agent_uid_valid(&agent) || units_are_stopped(agent.uid))
		return -ENOENT;
	r = ask(&agent, &bus, &reply, ret_reason);
	if (r < 0)
		return r;
	r = show_all(&look, reply);
	if (r < 0)
		return reason_set(ret_reason, r, "agent %s: its keeper: %s", name, strerror(-r));
	if (!look.n)
		return -ENOENT;
	r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "End", &error, NULL, "s", id);
	/* it ended by itself meanwhile */
	if (r < 0 && sd_bus_error_has_name(&error, KEEPER_ERROR_NO_SESSION))
		return 0;
	if (r < 0)
		return reason_set(ret_reason, r, "session %s: %s", id, keeper_failure(r, &error, why, sizeof(why)));
	for (unsigned int i = 0; i < END_TRIES; i++) {
		if (!session_lives(name, id))
			return 0;
		(void)nanosleep(&pause, NULL);
	}
	return reason_set(
		ret_reason, -ETIMEDOUT, "session %s does not end: see creelctl session list --agent %s", id, name);
}

static int kill_one(const char *id, Reason *ret_reason)
{
	_cleanup_strlist_ StrList names = { 0 };
	Reason silent = { "" };
	char shown[80];
	int r;

	if (strlen(id) != 16 || strspn(id, "0123456789abcdef") != 16)
		return reason_set(ret_reason, -EINVAL, "`%s` is no id of a session: see creelctl session list",
			str_quote(id, strlen(id), shown, sizeof(shown)));
	r = agent_names(&names, ret_reason);
	if (r < 0)
		return r;
	for (size_t i = 0; i < names.n; i++) {
		Reason reason = { "" };

		r = kill_of_agent(names.items[i], id, &reason);
		if (r == 0)
			return 0;
		if (r == -ENOENT && !reason.text[0])
			continue;
		/* it may be another's */
		silent = reason;
	}
	return silent.text[0]
		       ? reason_set(ret_reason, -ENOENT, "there is no session %s; %s", id, silent.text)
		       : reason_set(ret_reason, -ENOENT, "there is no session %s: see creelctl session list", id);
}

int session_kill_main(int argc, char **argv)
{
	const WordOption options[] = { { NULL } };
	const char *id = NULL;
	Reason reason = { "" };

	if (words_parse(argc, argv, options, &id) < 0 || !id)
		return EXIT_USAGE;
	if (kill_one(id, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	(void)printf("session %s ended\n", id);
	return EXIT_SUCCESS;
}

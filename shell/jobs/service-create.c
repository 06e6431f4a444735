/* SPDX-License-Identifier: MIT */
/* The words of creel service create (service.h). */
#include "shell/bus/secret.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/options.h"
#include "shell/jobs/service.h"

#include <regex.h>
#include <string.h>

typedef struct CreateWords {
	const char *port, *health, *ready_log, *directory, *restart, *timeout;
	StrList environment, secrets;
	bool tcp, replace, json;
} CreateWords;

static int port_take(const char *text, ServiceOrder *order, Reason *ret_reason)
{
	uint64_t port = 0;

	if (!text)
		return 0;
	if (str_to_u64(text, UINT16_MAX, &port) < 0 || !port)
		return reason_set(ret_reason, -EINVAL, "--port %s: a port is a number from 1 to 65535", text);
	order->spec.port = (uint16_t)port;
	order->change.port = true;
	return 0;
}

static int health_take(const CreateWords *words, ServiceOrder *order, Reason *ret_reason)
{
	const char *text = words->health ? words->health : words->ready_log;
	char why[128];
	regex_t expression;
	int r;

	if (!!words->health + !!words->ready_log + words->tcp > 1)
		return reason_set(ret_reason, -EINVAL, "--health, --ready-log and --tcp: one of them");
	order->change.health = text || words->tcp;
	order->spec.health = words->health ? HEALTH_HTTP : words->ready_log ? HEALTH_LOG : HEALTH_TCP;
	if (!order->change.health && !order->spec.port)
		order->spec.health = HEALTH_RUNNING;
	if (words->health && !probe_path_valid(words->health))
		return reason_set(ret_reason, -EINVAL,
			"--health %s: a path begins with / and has no blanks, as in /health", words->health);
	if (words->ready_log) {
		r = regcomp(&expression, words->ready_log, REG_EXTENDED | REG_NOSUB);
		if (r != 0) {
			(void)regerror(r, &expression, why, sizeof(why));
			return reason_set(ret_reason, -EINVAL, "--ready-log %s: %s", words->ready_log, why);
		}
		regfree(&expression);
	}
	return text && str_set(&order->spec.health_text, text) < 0
		       ? reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM))
		       : 0;
}

static int rest_take(CreateWords *words, ServiceOrder *order, Reason *ret_reason)
{
	order->spec.restart = words->restart ? service_restart(words->restart) : "on-failure";
	order->change.restart = words->restart;
	if (!order->spec.restart)
		return reason_set(ret_reason, -EINVAL, "--restart %s: it is no, on-failure or always", words->restart);
	order->timeout_usec = SERVICE_TIMEOUT;
	if (words->timeout && span_parse(words->timeout, &order->timeout_usec) < 0)
		return reason_set(ret_reason, -EINVAL, "--timeout %s: a time, as in 15s or 2m", words->timeout);
	order->change.directory = words->directory;
	if (words->directory && str_set(&order->spec.directory, words->directory) < 0)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < words->environment.n; i++)
		if (strncmp(words->environment.items[i], "PORT=", 5) == 0 && words->port)
			return reason_set(ret_reason, -EINVAL, "--env PORT: --port says it");
	order->spec.environment = words->environment;
	words->environment = (StrList){ 0 };
	order->replace = words->replace;
	order->json = words->json;
	return 0;
}

/* What the command is executed by, where it is to have secrets: the unit names them, and the values come when it starts. */
static int secrets_take(const StrList *secrets, ServiceOrder *order, Reason *ret_reason)
{
	static const char *const words[] = { CREEL_BINDIR "/creel", "secret", "run" };
	StrList *command = &order->spec.command;
	int r = 0;

	if (!secrets->n)
		return 0;
	for (size_t i = 0; i < ELEMENTSOF(words) && r == 0; i++)
		r = strlist_add(command, words[i]);
	for (size_t i = 0; i < secrets->n && r == 0; i++) {
		if (!secret_name_valid(secrets->items[i]))
			return reason_set(ret_reason, -EINVAL,
				"--secret %s: a secret is named like a variable; creel secret list has them all",
				secrets->items[i]);
		r = strlist_add(command, secrets->items[i]);
	}
	if (r == 0)
		r = strlist_add(command, "--");
	return r < 0 ? reason_set(ret_reason, r, "%s", strerror(-r)) : 0;
}

static int command_take(const Words *words, const StrList *secrets, ServiceOrder *order, Reason *ret_reason)
{
	int r;

	if (!words->command && secrets->n)
		return reason_set(ret_reason, -EINVAL,
			"--secret is part of what it executes: say -- COMMAND, too, as in --secret API_KEY -- node "
			"server.js");
	if (!words->command)
		return 0;
	if (!words->command_n)
		return reason_set(ret_reason, -EINVAL, "behind -- stands what it executes, as in -- node server.js");
	r = secrets_take(secrets, order, ret_reason);
	if (r < 0)
		return r;
	for (int i = 0; i < words->command_n; i++)
		if (strlist_add(&order->spec.command, words->command[i]) < 0)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	order->change.command = true;
	return 0;
}

/* A check of a port, or of paths there, needs to know the port: it may be said, or in the file already. */
static int whole(const ServiceOrder *order, Reason *ret_reason)
{
	_cleanup_service_ Service old = { 0 };
	Reason ignored;

	if (order->spec.port || (order->spec.health != HEALTH_HTTP && order->spec.health != HEALTH_TCP))
		return 0;
	if (service_load(order->name, &old, &ignored) == 0 && old.spec.port)
		return 0;
	return reason_set(
		ret_reason, -EINVAL, "%s needs --port", order->spec.health == HEALTH_HTTP ? "--health" : "--tcp");
}

static int order_read(int argc, char **argv, ServiceOrder *order, Reason *ret_reason)
{
	CreateWords said = { 0 };
	const Option options[] = {
		{ .name = "--port", .letter = "-p", .value = &said.port },
		{ .name = "--health", .value = &said.health },
		{ .name = "--ready-log", .value = &said.ready_log },
		{ .name = "--tcp", .flag = &said.tcp },
		{ .name = "--dir", .value = &said.directory },
		{ .name = "--env", .letter = "-e", .list = &said.environment },
		{ .name = "--secret", .list = &said.secrets },
		{ .name = "--restart", .value = &said.restart },
		{ .name = "--timeout", .value = &said.timeout },
		{ .name = "--replace", .flag = &said.replace },
		{ .name = "--json", .flag = &said.json },
		{ 0 },
	};
	const char *name = NULL;
	Words words = { .items = &name, .max = 1 };
	int r = options_read(argc, argv, options, &words, ret_reason);

	if (r == 0 && !words.n)
		r = reason_set(ret_reason, -EINVAL,
			"say its name, as in creel service create web --port 3000 -- node server.js");
	order->name = name;
	if (r == 0)
		r = jobs_name_check(name, ret_reason);
	if (r == 0)
		r = port_take(said.port, order, ret_reason);
	if (r == 0)
		r = health_take(&said, order, ret_reason);
	if (r == 0)
		r = command_take(&words, &said.secrets, order, ret_reason);
	if (r == 0)
		r = rest_take(&said, order, ret_reason);
	if (r == 0)
		r = whole(order, ret_reason);
	strlist_done(&said.environment);
	strlist_done(&said.secrets);
	return r;
}

int service_create_main(int argc, char **argv)
{
	ServiceOrder order = { .verb = "service" };
	Reason reason;
	int r = order_read(argc, argv, &order, &reason);

	if (r < 0)
		reason_tell("service", order.name, reason.text);
	r = r == 0 ? service_make(&order) : r == -EINVAL ? EXIT_WRONG_USAGE : EXIT_FAILURE;
	service_spec_done(&order.spec);
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Why a service is not healthy: the one reason that its user can do something about (service.h). */
#include "shell/jobs/service.h"

#include <regex.h>
#include <signal.h>
#include <string.h>

/* Exit statuses that are systemd's own, before the program runs: systemd.exec(5). */
#define EXIT_CHDIR 200
#define EXIT_EXEC 203
#define EXIT_SHELL_NOT_EXECUTABLE 126
#define EXIT_SHELL_NOT_FOUND 127

/* What programs say when bind(2) was refused, in the languages that agents use. */
#define REFUSED "EACCES|EPERM|PermissionError|[Pp]ermission denied|Operation not permitted"
#define BINDING "bind|listen|socket|port|EACCES|PermissionError"

static bool tail_matches(const StrList *tail, const char *pattern)
{
	regex_t expression;
	bool found = false;

	if (regcomp(&expression, pattern, REG_EXTENDED | REG_NOSUB) != 0)
		return false;
	for (size_t i = 0; i < tail->n && !found; i++)
		found = regexec(&expression, tail->items[i], 0, NULL, 0) == 0;
	regfree(&expression);
	return found;
}

static void exit_words(const Service *service, const Unit *unit, char *buffer, size_t size)
{
	const char *program = service->spec.command.n ? service->spec.command.items[0] : "its program";

	if (strcmp(unit->result, "oom-kill") == 0)
		(void)snprintf(
			buffer, size, "it was ended because memory ran out: creel limits shows what you may use");
	else if (strcmp(unit->result, "timeout") == 0)
		(void)snprintf(buffer, size, "systemd waited for it in vain, and ended it");
	else if (unit->code == CLD_KILLED || unit->code == CLD_DUMPED)
		(void)snprintf(buffer, size, "it was ended by signal %d (SIG%s)", unit->status,
			sigabbrev_np(unit->status) ? sigabbrev_np(unit->status) : "?");
	else if (unit->code == CLD_EXITED && unit->status == EXIT_EXEC)
		(void)snprintf(buffer, size,
			"%s cannot be executed: command not found, or the interpreter in its first line (status 203)",
			program);
	else if (unit->code == CLD_EXITED && unit->status == EXIT_CHDIR)
		(void)snprintf(buffer, size, "its folder %s cannot be entered (status 200)",
			service->spec.directory ? service->spec.directory : "");
	else if (unit->code == CLD_EXITED && unit->status == EXIT_SHELL_NOT_FOUND)
		(void)snprintf(buffer, size, "it ended with status 127: command not found");
	else if (unit->code == CLD_EXITED && unit->status == EXIT_SHELL_NOT_EXECUTABLE)
		(void)snprintf(buffer, size, "it ended with status 126: a command cannot be executed");
	else if (unit->code == CLD_EXITED)
		(void)snprintf(buffer, size, "it ended with status %d%s", unit->status,
			unit->status ? "" : ": a service must keep running, not go to the background");
	else
		(void)snprintf(buffer, size, "it did not start (%s)", *unit->result ? unit->result : unit->active);
}

static void why_ended(const Service *service, const ServiceState *state, const StrList *tail, Reason *ret)
{
	Reason port = { "" };
	char words[512], ranges[256];

	exit_words(service, &state->unit, words, sizeof(words));
	if (service->spec.port && service_port_free(service->spec.port, "", &port) < 0)
		(void)reason_set(ret, 0, "%s; %s", words, port.text);
	else if (tail_matches(tail, REFUSED) && tail_matches(tail, BINDING) &&
		 service_port_ranges(ranges, sizeof(ranges)))
		(void)reason_set(ret, 0, "%s; if it was refused a port: yours are %s", words, ranges);
	else if (tail_matches(tail, "EADDRINUSE|[Aa]ddress already in use"))
		(void)reason_set(
			ret, 0, "%s; the port that it asked for is taken: creel ps shows who listens where", words);
	else
		(void)reason_set(ret, 0, "%s", words);
}

void service_why(
	const Service *service, const ServiceState *state, const StrList *tail, uint64_t waited_usec, Reason *ret)
{
	char span[32], words[256];
	uint16_t port = service->spec.port;

	(void)span_text(waited_usec, span, sizeof(span));
	if (!service_runs(state)) {
		why_ended(service, state, tail, ret);
	} else if (state->loopback) {
		char address[64];

		(void)reason_set(ret, 0, "it listens on %s only, so nobody else reaches it: let it bind to 0.0.0.0",
			listener_address(&state->at, address, sizeof(address)));
	} else if (state->asked) {
		(void)reason_set(ret, 0, "not healthy within %s: %s", span,
			probe_words(&state->probe, service->spec.health_text, words, sizeof(words)));
	} else if (service->spec.health == HEALTH_LOG) {
		(void)reason_set(
			ret, 0, "not ready within %s: no line of its log matches %s", span, service->spec.health_text);
	} else if (state->elsewhere) {
		(void)reason_set(ret, 0,
			"it listens on port %u and not on %u: let it listen on what PORT says, or say --port %u",
			state->elsewhere, port, state->elsewhere);
	} else {
		(void)reason_set(ret, 0,
			"it did not listen on port %u within %s: PORT says the port; --timeout lets it take longer",
			port, span);
	}
}

/* SPDX-License-Identifier: MIT */
/* How a service is, for people and for programs (service.h). */
#include "shell/base/json.h"
#include "shell/jobs/service.h"
#include "shell/jobs/table.h"
#include "shell/tools/clean.h"

#include <string.h>

void service_tell(const Service *service, const ServiceState *state)
{
	bool colours = terminal_colours(stdout);
	char words[256];

	(void)service_health_words(service, state, words, sizeof(words));
	(void)printf("%s%s%s is running%s%s%s\n", colour_code(COLOUR_GOOD, colours), service->name,
		colour_code(COLOUR_NONE, colours), strcmp(words, "-") == 0 ? "" : " (",
		strcmp(words, "-") == 0 ? "" : words, strcmp(words, "-") == 0 ? "" : ")");
	if (*state->url)
		(void)printf("  URL   %s%s\n", state->url,
			strncmp(state->url, "http://127.", 11) == 0 ? " (from this machine only)" : "");
	(void)printf("  PID   %d\n", (int)state->unit.main_pid);
	(void)printf("  log   creel service logs %s -f\n", service->name);
	(void)printf("  stop  creel service stop %s\n", service->name);
	(void)printf("  file  %s\n", service->path);
}

static const char *health_name(HealthKind health)
{
	static const char *const names[] = { "running", "tcp", "http", "log" };

	return names[health];
}

static void write_tail(FILE *file, bool *first, const StrList *tail)
{
	json_key(file, first, "tail");
	(void)fputc('[', file);
	for (size_t i = 0; i < tail->n; i++) {
		(void)fputs(i ? "," : "", file);
		json_quote(file, tail->items[i], strlen(tail->items[i]));
	}
	(void)fputc(']', file);
}

void service_tell_json(
	FILE *file, const Service *service, const ServiceState *state, const StrList *tail, const char *reason)
{
	const Unit *unit = &state->unit;
	bool first = true, runs = service_runs(state);
	_cleanup_free_ char *stop = str_format("creel service stop %s", service->name),
			    *logs = str_format("creel service logs %s", service->name);
	char words[256], since[32];

	(void)fputc('{', file);
	json_text(file, &first, "name", service->name);
	json_text(file, &first, "state", *unit->active ? unit->active : "inactive");
	json_text(file, &first, "sub", *unit->sub ? unit->sub : "dead");
	json_bool(file, &first, "healthy", !reason && service_is_healthy(service, state));
	json_text(file, &first, "health", health_name(service->spec.health));
	json_text(file, &first, "health_words", service_health_words(service, state, words, sizeof(words)));
	json_text(file, &first, "url", *state->url ? state->url : NULL);
	json_number(file, &first, "port", service->spec.port ? service->spec.port : UINT64_MAX);
	json_number(file, &first, "pid", unit->main_pid ? (uint64_t)unit->main_pid : UINT64_MAX);
	json_text(file, &first, "since", runs ? when_json(unit->active_usec, since, sizeof(since)) : NULL);
	json_number(file, &first, "memory", unit->memory);
	json_number(file, &first, "restarts", unit->restarts);
	json_text(file, &first, "enabled", *unit->enabled ? unit->enabled : NULL);
	json_text(file, &first, "result", *unit->result ? unit->result : NULL);
	json_bool(file, &first, "made_here", service->own);
	json_bool(file, &first, "edited", service->own && service->edited);
	json_text(file, &first, "file", service->path);
	json_text(file, &first, "logs", logs);
	json_text(file, &first, "stop", stop);
	if (tail) {
		json_text(file, &first, "reason", reason);
		write_tail(file, &first, tail);
	}
	(void)fputc('}', file);
}

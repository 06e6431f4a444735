/* SPDX-License-Identifier: MIT */
/* How a service is at a moment: what systemd says, on which ports its cgroup listens, what it answers (service.h). */
#include "shell/jobs/cgroup.h"
#include "shell/jobs/service.h"

#include <string.h>

void service_state_done(ServiceState *state)
{
	unit_done(&state->unit);
	*state = (ServiceState){ 0 };
}

bool service_runs(const ServiceState *state)
{
	return strcmp(state->unit.active, "active") == 0 || strcmp(state->unit.active, "reloading") == 0;
}

/* What of the listeners is the service's. One that others reach comes before one that they do not. */
static void ports_look(const Service *service, ServiceState *state)
{
	_cleanup_free_ Listener *all = NULL;
	size_t n = 0;

	if (listeners_read(&all, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (all[i].uid != getuid() || !cgroup_holds(state->unit.cgroup, all[i].cgroup))
			continue;
		if (all[i].port != service->spec.port) {
			state->elsewhere = all[i].port;
		} else if (!state->ported || state->loopback) {
			state->ported = true;
			state->loopback = listener_is_loopback(&all[i]);
			state->at = all[i];
		}
	}
	if (state->ported)
		state->elsewhere = 0;
}

static void url_make(const Service *service, ServiceState *state)
{
	char address[ADDRESS_TEXT];

	(void)address_find(address, sizeof(address));
	if (state->ported && !listener_is_wildcard(&state->at))
		(void)listener_address(&state->at, address, sizeof(address));
	(void)address_url(address, service->spec.port, state->url, sizeof(state->url));
}

int service_look(Manager *manager, const Service *service, int probe_msec, ServiceState *ret, Reason *ret_reason)
{
	ServiceState state = { 0 };
	int r = manager_unit(manager, service->unit, &state.unit, ret_reason);

	if (r < 0)
		return r;
	if (*state.unit.cgroup)
		ports_look(service, &state);
	if (service->spec.port)
		url_make(service, &state);
	if (state.ported && (service->spec.health == HEALTH_HTTP || service->spec.health == HEALTH_TCP)) {
		state.probe = probe_ask(
			&state.at, service->spec.health == HEALTH_HTTP ? service->spec.health_text : NULL, probe_msec);
		state.asked = true;
	}
	*ret = state;
	return 0;
}

bool service_is_healthy(const Service *service, const ServiceState *state)
{
	if (!service_runs(state))
		return false;
	if (service->spec.health == HEALTH_RUNNING || service->spec.health == HEALTH_LOG)
		return true;
	return state->asked && state->probe.answer == PROBE_OK && !state->loopback;
}

const char *service_health_words(const Service *service, const ServiceState *state, char *buffer, size_t size)
{
	if (!service_runs(state) || service->spec.health == HEALTH_RUNNING || service->spec.health == HEALTH_LOG)
		(void)snprintf(buffer, size, "-");
	else if (state->loopback)
		(void)snprintf(buffer, size, "reached from this machine only");
	else if (state->asked)
		(void)probe_words(&state->probe, service->spec.health_text, buffer, size);
	else if (state->elsewhere)
		(void)snprintf(buffer, size, "listens on %u instead", state->elsewhere);
	else
		(void)snprintf(buffer, size, "does not listen");
	return buffer;
}

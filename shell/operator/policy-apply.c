/* SPDX-License-Identifier: MIT */
/*
 * creelctl policy apply: what was edited in /etc/creel takes effect, for what runs as well.
 *
 * creel-enforce changes what the kernel holds by uid. The manager runs the generator, so slices get their new limits; keepers read their policy again; units that
 * a bad file kept from starting are started. A file that is bad now disables its agent: its keeper, told to
 * read it, refuses every login and says why.
 */
#include "shell/operator/operator.h"
#include "shell/operator/packages.h"
#include "shell/operator/retention.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"
#include "shell/policy/agents.h"

#include <string.h>

/* It reads every program that [commands] allow names before it answers: on a cold and busy machine that takes long. */
#define RELOAD_TIMEOUT_USEC (90 * UINT64_C(1000000))

/* Returns 0 also when no keeper runs: it reads the policy when it starts. */
static int keeper_reload(uid_t uid, Reason *ret_reason)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	char why[512];
	int r;

	r = keeper_connect(uid, &bus);
	if (r == -ENOENT || r == -ECONNREFUSED)
		return 0;
	if (r >= 0)
		r = sd_bus_set_method_call_timeout(bus, RELOAD_TIMEOUT_USEC);
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Reload", &error, NULL, "");
	if (r < 0 && sd_bus_error_has_name(&error, KEEPER_ERROR_POLICY))
		return 0; /* said already, by this program's own reading */
	if (r < 0)
		return reason_set(ret_reason, r, "its keeper: %s", keeper_failure(r, &error, why, sizeof(why)));
	return 0;
}

int policy_apply_agent(const char *name)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error = { "" };
	Reason reason = { "" };
	int r;

	r = agent_find(name, &agent, &reason);
	if (r < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	if (!agent_uid_valid(&agent)) {
		(void)fprintf(stderr, "creelctl: agent %s: there is no such user, or its uid is not an agent's%s\n",
			name, agent.has_file ? "" : "; `creelctl agent remove` clears what is left");
		return EXIT_FAILURE;
	}
	/* one that was made by hand, or by a version that remembered nobody */
	if (agent.has_file && !agent.uid_marked) {
		r = mark_set("", agent.uid, name);
		if (r < 0) {
			(void)fprintf(stderr, "creelctl: %s/%u: %s\n", POLICY_MARK_DIR, agent.uid, strerror(-r));
			return EXIT_FAILURE;
		}
	}
	r = policy_load("", name, &policy, &error);
	if (r < 0)
		(void)fprintf(stderr, "creelctl: agent %s is disabled: %s\n", name, error.text);
	else
		r = enforce_check(agent.uid, policy, &reason);
	if (r == 0 && !units_are_stopped(agent.uid))
		r = units_start(agent.uid, &reason);
	if (!policy && keeper_reload(agent.uid, &reason) >= 0)
		return EXIT_FAILURE;
	if (r == 0)
		r = keeper_reload(agent.uid, &reason);
	/* what it allowed until now */
	if (r == 0)
		r = packages_prune(name, policy, &reason);
	if (r == 0 && packages_missing(policy))
		(void)fprintf(stderr,
			"creelctl: agent %s: its shelf lacks what its allowlist allows: creelctl packages fetch %s\n",
			name, name);
	if (r == 0)
		return EXIT_SUCCESS;
	(void)fprintf(stderr, "creelctl: agent %s: %s\n", name, reason.text);
	return EXIT_FAILURE;
}

int policy_apply_begin(Reason *ret_reason)
{
	int r = enforce_run(ret_reason);

	retention_apply();
	/* what it could not do is said of each agent later; an agent's units follow what it could do */
	return r < 0 ? r : units_reload(ret_reason);
}

int policy_apply_main(int argc, char **argv)
{
	_cleanup_strlist_ StrList names = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	Reason reason = { "" };
	int status = EXIT_SUCCESS;

	if (argc > 0)
		return EXIT_USAGE;
	if (agents_lock(&lock_fd, &reason) < 0 || agent_names(&names, &reason) < 0 || policy_apply_begin(&reason)) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < names.n; i++) {
		if (policy_apply_agent(names.items[i]) == EXIT_SUCCESS)
			(void)printf("agent %s: applied\n", names.items[i]);
		else
			status = EXIT_FAILURE;
	}
	return status;
}

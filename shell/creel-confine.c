/* SPDX-License-Identifier: MIT */
/*
 * creel-confine PROGRAM [ARGUMENT ...]: confines itself as the policy of the calling agent says, and becomes the program.
 *
 * For the user manager, which systemd starts as the agent: user@UID.service executes this instead of systemd
 * (units/agent-units.c), and so all that the manager starts - services, timers, D-Bus activation - is confined. Holds no
 * privilege and is not trusted with any: it runs before anything of the agent's choice, and what fails here is fatal.
 *
 * 125: not confined; 126, 127: confined, and PROGRAM could not be executed or was not found.
 */
#include "shell/base/log.h"
#include "shell/confine/confine.h"
#include "shell/session/identity.h"

#include <string.h>

#define EXIT_CONFINEMENT 125
#define EXIT_CANNOT_EXECUTE 126
#define EXIT_NOT_FOUND 127

static int confine(void)
{
	_cleanup_(confinement_done) Confinement confinement = CONFINEMENT_NONE;
	_cleanup_(identity_freep) Identity *who = NULL;
	_cleanup_(policy_freep) Policy *policy = NULL;
	const char *step = "";
	PolicyError error;
	int r;

	r = identity_load(getuid(), &who);
	if (r < 0) {
		log_error("uid %u is no agent's: %s", (unsigned int)getuid(), strerror(-r));
		return r;
	}
	r = policy_load("", who->name, &policy, &error);
	if (!r) {
		const ConfinementRequest request = {
			.policy = policy,
			.uid = who->uid,
			.gid = who->gid,
			.groups = who->groups,
			.n_groups = who->n_groups,
			.home = who->home,
			.manager = true,
		};

		r = confinement_prepare(&request, &confinement, &error);
	}
	if (r < 0) {
		log_error("cannot confine %s: %s", who->name, error.text);
		return r;
	}
	r = confinement_apply_own(&confinement, &step);
	if (r < 0)
		log_error("cannot confine %s: %s: %s", who->name, step, strerror(-r));
	return r;
}

int main(int argc, char **argv)
{
	log_open("creel-confine");
	if (argc < 2 || *argv[1] != '/') {
		log_error("usage: creel-confine /PROGRAM [ARGUMENT ...]");
		return EXIT_CONFINEMENT;
	}
	if (confine() < 0)
		return EXIT_CONFINEMENT;
	(void)execv(argv[1], argv + 1);
	log_error("%s: %s", argv[1], strerror(errno));
	return errno == ENOENT ? EXIT_NOT_FOUND : EXIT_CANNOT_EXECUTE;
}

/* SPDX-License-Identifier: MIT */
/*
 * creelctl agent lock, unlock: the account expires, so every door that asks PAM's account check refuses it -
 * ours, OpenSSH, su, cron. What runs goes on; `agent remove` ends things.
 */
#include "shell/operator/operator.h"

#include <string.h>

static int set_expiry(int argc, char **argv, bool lock)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	const WordOption options[] = { { NULL } };
	const char *name = NULL;
	/* day 1 is in the past; day 0 would be read as "never" by some */
	const char *command[] = { "/usr/sbin/usermod", "--expiredate", lock ? "1" : "", "--", NULL, NULL };
	Reason reason = { "" };

	if (words_parse(argc, argv, options, &name) < 0 || !name)
		return EXIT_USAGE;
	if (agents_lock(&lock_fd, &reason) < 0 || agent_require(name, &agent, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	command[4] = agent.name;
	if (command_run(command, &reason)) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	(void)printf("agent %s %s\n", agent.name, lock ? "locked: new logins are refused" : "unlocked");
	return EXIT_SUCCESS;
}

int agent_lock_main(int argc, char **argv)
{
	return set_expiry(argc, argv, true);
}

int agent_unlock_main(int argc, char **argv)
{
	return set_expiry(argc, argv, false);
}

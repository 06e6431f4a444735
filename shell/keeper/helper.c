/* SPDX-License-Identifier: MIT */
#include "shell/keeper/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

static int add_fds(posix_spawn_file_actions_t *actions, const int fds[static HELPER_FDS])
{
	int r = 0;

	for (int i = 0; i < HELPER_FDS && !r; i++) {
		if (fds[i] >= 0)
			r = posix_spawn_file_actions_adddup2(actions, fds[i], i);
		else if (i <= STDERR_FILENO)
			r = posix_spawn_file_actions_addopen(actions, i, "/dev/null", O_RDWR, 0);
	}
	return r;
}

static int set_signals(posix_spawnattr_t *attributes)
{
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	return r ? r : posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
}

int helper_start(char *const argv[], const int fds[static HELPER_FDS], pid_t *ret)
{
	char *const environment[] = { (char[]){ "LC_ALL=C.UTF-8" }, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (!r) {
		r = add_fds(&actions, fds);
		if (!r)
			r = set_signals(&attributes);
		if (!r)
			r = posix_spawn(ret, argv[0], &actions, &attributes, argv, environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

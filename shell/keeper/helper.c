/* SPDX-License-Identifier: MIT */
#include "shell/keeper/helper.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>

static int add_files(posix_spawn_file_actions_t *actions, int input_fd, int output_fd)
{
	int r;

	if (input_fd < 0)
		r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	else
		r = posix_spawn_file_actions_adddup2(actions, input_fd, STDIN_FILENO);
	return r ? r : posix_spawn_file_actions_adddup2(actions, output_fd, STDOUT_FILENO);
}

int helper_start(const char *program, char *const argv[], int input_fd, int output_fd, pid_t *ret)
{
	char *const environment[] = { (char[]){ "LC_ALL=C.UTF-8" }, NULL };
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (!r) {
		r = add_files(&actions, input_fd, output_fd);
		if (!r)
			r = posix_spawnattr_setsigmask(&attributes, &none);
		if (!r)
			r = posix_spawnattr_setsigdefault(&attributes, &all);
		if (!r)
			r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
		if (!r)
			r = posix_spawn(ret, program, &actions, &attributes, argv, environment);
		(void)posix_spawnattr_destroy(&attributes);
	}
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

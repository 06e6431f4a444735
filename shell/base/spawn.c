/* SPDX-License-Identifier: MIT */
#include "shell/base/spawn.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>

static int set_streams(posix_spawn_file_actions_t *actions, const SpawnRequest *request)
{
	int r;

	if (request->input_fd < 0)
		r = posix_spawn_file_actions_addopen(actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	else
		r = posix_spawn_file_actions_adddup2(actions, request->input_fd, STDIN_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(actions, request->output_fd, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_adddup2(actions, request->error_fd, STDERR_FILENO);
	return r;
}

static int set_attributes(posix_spawnattr_t *attributes, const SpawnRequest *request)
{
	const int flags = POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
	sigset_t none, all;
	int r;

	sigemptyset(&none);
	sigfillset(&all);
	r = posix_spawnattr_setsigmask(attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(attributes, &all);
	if (!r)
		r = posix_spawnattr_setpgroup(attributes, 0);
	if (!r)
		r = posix_spawnattr_setflags(
			attributes, (short)(flags | (request->own_group ? POSIX_SPAWN_SETPGROUP : 0)));
	return r;
}

int spawn(const SpawnRequest *request, pid_t *ret)
{
	const char *program = request->program ? request->program : request->arguments[0];
	char *const *arguments = (char *const *)(uintptr_t)request->arguments;
	char *const *environment = request->environment ? request->environment : environ;
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	r = posix_spawn_file_actions_init(&actions);
	if (r)
		return -r;
	r = posix_spawnattr_init(&attributes);
	if (r) {
		(void)posix_spawn_file_actions_destroy(&actions);
		return -r;
	}
	r = set_streams(&actions, request);
	if (!r)
		r = set_attributes(&attributes, request);
	if (!r)
		r = (request->search ? posix_spawnp : posix_spawn)(
			ret, program, &actions, &attributes, arguments, environment);
	(void)posix_spawnattr_destroy(&attributes);
	(void)posix_spawn_file_actions_destroy(&actions);
	return -r;
}

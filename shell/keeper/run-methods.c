/* SPDX-License-Identifier: MIT */
/* The rows Memory, Run and Stop. */
#include "shell/keeper/repl.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define UNREAD_MAX 64U /* messages that a caller leaves unread before it may not start another run */

static int check_keeper(Keeper *keeper, sd_bus_error *error)
{
	char unenforced[256];

	keeper_refresh_policy(keeper);
	if (!keeper->policy)
		return sd_bus_error_set(error, KEEPER_ERROR_POLICY, keeper->policy_error.text);
	if (keeper_unenforced(keeper, unenforced, sizeof(unenforced)))
		return sd_bus_error_set(error, KEEPER_ERROR_POLICY, unenforced);
	return 0;
}

/* What is sent to it must go somewhere. */
static int check_peer(const Peer *peer, sd_bus_error *error)
{
	uint64_t queued = 0;

	if ((sd_bus_get_n_queued_write(peer->bus, &queued) < 0 || queued < UNREAD_MAX) &&
		(!queued || server_unread(peer->server) < RUNS_UNREAD_BYTES))
		return 0;
	return sd_bus_error_set(
		error, KEEPER_ERROR_FULL, "the caller does not read what it is told about earlier runs");
}

static int begin(Keeper *keeper, Peer *peer, const RunOptions *asked, int code_fd, uint64_t *ret, sd_bus_error *error)
{
	_cleanup_(run_freep) Run *run = NULL;
	int r;

	r = check_keeper(keeper, error);
	if (!r)
		r = check_peer(peer, error);
	if (!r)
		r = run_new(keeper, peer, asked, code_fd, &run, error);
	if (r)
		return r;
	if (!repls_have(keeper, run->options.language, run->options.session))
		repls_make_memory(keeper);
	r = *run->options.session ? repl_call(run, error) : run_start(run, error);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(run)->number;
	return 0;
}

int method_run(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(run_options_done) RunOptions asked = RUN_OPTIONS_NONE;
	Keeper *keeper = userdata;
	const char *rule;
	char name[64];
	uint64_t number = 0;
	int code_fd, r;

	r = sd_bus_message_read(message, "h", &code_fd);
	if (r < 0)
		return r;
	r = run_options_read(message, &asked, name);
	if (r == -ENOMEM)
		return r;
	rule = r < 0 ? run_option_rule(name) : NULL;
	if (rule)
		r = sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS, "%s: must be %s", name, rule);
	else if (r < 0)
		r = sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
			"%s: an option that is unknown, missing, of a wrong type, there twice, or out of bounds", name);
	else
		r = begin(keeper, peer, &asked, code_fd, &number, error);
	if (r < 0) {
		keeper_record_run_refusal(keeper, peer, &asked, error->message ? error->message : strerror(-r));
		return r;
	}
	return sd_bus_reply_method_return(message, "t", number);
}

int method_memory(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_close_ int fd = -EBADF, lent_fd = -EBADF;
	Keeper *keeper = userdata;
	const Policy *policy;
	char path[32];
	int r;

	r = check_keeper(keeper, error);
	if (!r)
		r = check_peer(peer, error);
	if (r)
		return r;
	/* its inode counts as the keeper's memory, so nobody gets one who does not need it, and nobody gets very many */
	policy = keeper->policy;
	if (!policy->commands_allow.n && !policy->bash_allow.n && !policy->bash_deny.n)
		return sd_bus_error_set(
			error, KEEPER_ERROR_POLICY, "memory: the policy lets the agent make memfds of its own");
	if (budget_may_lend(&keeper->budget, 2 * runs_count(keeper) + 1) < 0)
		return sd_bus_error_setf(error, KEEPER_ERROR_FULL,
			"memory: earlier ones and results are still open (%u memfds): close them", BUDGET_LENT_MAX);
	fd = memfd_create("creel", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	/* root's, so that nobody else makes it a program; what is written to it counts as the writer's memory */
	if (fd < 0 || fchmod(fd, 0644) < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	lent_fd = open(path, O_RDWR | O_CLOEXEC);
	if (lent_fd < 0)
		return -errno;
	r = sd_bus_reply_method_return(message, "h", lent_fd);
	if (r >= 0)
		budget_lend(&keeper->budget, TAKE_FD(fd));
	return r;
}

int method_stop(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	uint64_t number;
	Run *run;
	int r;

	r = sd_bus_message_read(message, "t", &number);
	if (r < 0)
		return r;
	/* of any of the agent's connections: it may end all of its processes anyway */
	run = run_find(userdata, number);
	if (!run)
		return sd_bus_error_set(error, KEEPER_ERROR_NO_SESSION, "no such run, or it is over");
	run_stop(run, RUN_CANCELLED);
	return sd_bus_reply_method_return(message, NULL);
}

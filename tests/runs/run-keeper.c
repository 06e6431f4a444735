/* SPDX-License-Identifier: MIT */
/*
 * A keeper of runs on this machine, for tests that need no VM: the keeper's own sources, confinement included, with a folder
 * of a cgroup tree (v2, of any controllers) for its leaves, and an agent that is only a number.
 *
 *   run-keeper SOCKET UID HOME POLICY-FILE CGROUP-FOLDER
 *
 * As root. What needs the system's own files - passwd, PAM, creel-enforce - is not here: nobody can log in.
 */
#include "shell/base/log.h"
#include "shell/keeper/repl.h"
#include "shell/keeper/spare.h"
#include "shell/keeper/surroundings.h"

#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

static const char *policy_file;
static char *policy_text; /* as it was read last */

const char *keeper_unenforced(Keeper *keeper, char *reason, size_t size)
{
	return NULL;
}

void keeper_load_policy(Keeper *keeper)
{
	const PolicyText system = { .label = "creel.conf", .text = "", .n = 0 };
	_cleanup_free_ char *text = NULL;
	PolicyText agent = { .label = policy_file };
	Confinement confinement = CONFINEMENT_NONE;
	Policy *policy = NULL;
	int r;

	r = file_read_at(AT_FDCWD, policy_file, 0, 1 << 20, &text, &agent.n);
	agent.text = text;
	if (r >= 0 && keeper->policy && policy_text && strcmp(text, policy_text) == 0)
		return;
	spares_renew(keeper);
	if (!r)
		r = policy_load_text("", "agent", &system, &agent, &policy, &keeper->policy_error);
	if (!r) {
		const ConfinementRequest request = {
			.policy = policy,
			.uid = keeper->uid,
			.gid = keeper->identity->gid,
			.groups = keeper->identity->groups,
			.n_groups = keeper->identity->n_groups,
			.home = keeper->identity->home,
		};

		r = confinement_prepare(&request, &confinement, &keeper->policy_error);
	}
	if (r < 0) {
		log_error("policy: %s", keeper->policy_error.text);
		policy = policy_free(policy);
	}
	free(policy_text);
	policy_text = TAKE_PTR(text);
	settings_forget(keeper);
	policy_free(keeper->policy);
	keeper->policy = policy;
	confinement_done(&keeper->confinement);
	keeper->confinement = confinement;
}

/* Each call is by the policy of now. */
void keeper_refresh_policy(Keeper *keeper)
{
	keeper_load_policy(keeper);
}

static void on_peer_gone(void *userdata, Peer *peer)
{
	runs_peer_gone(userdata, peer);
}

static int listen_at(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 || listen(fd, 64) < 0)
		return -errno;
	if (dup3(fd, 3, O_CLOEXEC) < 0)
		return -errno;
	(void)close(fd);
	return 3;
}

static int serve(Keeper *keeper, const char *path)
{
	const ServerConfig config = {
		.front_uid = (uid_t)-1,
		.agent_uid = keeper->uid,
		.methods = keeper_methods,
		.keeper = keeper,
		.peer_gone = on_peer_gone,
	};
	int fd = listen_at(path);

	if (fd < 0 || chown(path, keeper->uid, 0) < 0)
		return fd < 0 ? fd : -errno;
	return server_new(keeper->event, fd, &config, &keeper->server);
}

int main(int argc, char **argv)
{
	static gid_t groups[1];
	static Identity identity = {
		.name = (char *)"agent", .groups = groups, .n_groups = 1, .shell = (char *)"/bin/bash"
	};
	static Keeper keeper = {
		.identity = &identity,
		.slice_fd = -EBADF,
		.rescue_fd = -EBADF,
		.kept_fd = -EBADF,
		.own_fd = -EBADF,
		.confinement = CONFINEMENT_NONE,
		.secrets = { .interval_usec = 200000, .burst = 50 },
		.budget = { .most = KEEPER_RUNS_BYTES },
		.run_refusals = { .interval_usec = 100000, .burst = 30 },
	};
	sigset_t set;
	int r;

	log_open("run-keeper");
	/* for the listening socket, as systemd gives it: a birth's third descriptor gets that number */
	if (argc != 6 || dup3(STDIN_FILENO, 3, O_CLOEXEC) < 0)
		return EXIT_FAILURE;
	keeper.uid = identity.uid = identity.gid = groups[0] = (uid_t)strtoul(argv[2], NULL, 10);
	identity.home = argv[3];
	policy_file = argv[4];
	keeper.leaves_fd = open(argv[5], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* as the keeper does */
	(void)signal(SIGPIPE, SIG_IGN);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	if (keeper.leaves_fd < 0 || setgroups(1, groups) < 0 || sigprocmask(SIG_BLOCK, &set, NULL) < 0)
		return EXIT_FAILURE;
	keeper_load_policy(&keeper);
	r = record_new("run-keeper", &keeper.record);
	if (r >= 0)
		r = sd_event_default(&keeper.event);
	if (r >= 0)
		r = sd_event_set_signal_exit(keeper.event, true);
	if (r >= 0)
		r = keeper_renew_on_reload(&keeper);
	if (r >= 0) {
		runs_end_adopted(&keeper);
		r = serve(&keeper, argv[1]);
	}
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	(void)puts("ready");
	(void)fflush(stdout);
	r = sd_event_loop(keeper.event);
	spares_done(&keeper);
	repls_done(&keeper);
	runs_done(&keeper);
	free(policy_text);
	secrets_done(&keeper);
	server_free(keeper.server);
	record_free(keeper.record);
	settings_forget(&keeper);
	policy_free(keeper.policy);
	confinement_done(&keeper.confinement);
	sd_event_unref(keeper.event);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

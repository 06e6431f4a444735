/* SPDX-License-Identifier: MIT */
/*
 * creel-keeper UID: the keeper of one agent. Started by creel-keeper@UID.service with its listening socket.
 *
 * Runs as root with a bounded capability set, in one thread. It parses typed bus messages, the agent's authorized_keys
 * (read as the agent), the policy (root's) and small kernel files; nothing from the network. What it starts lives in
 * cgroups of other units, so it may die at any time.
 */
#include "shell/base/log.h"
#include "shell/base/privilege.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/keeper/executions.h"
#include "shell/keeper/terminal-recording.h"
#include "shell/keeper/repl.h"
#include "shell/keeper/spare.h"
#include "shell/keeper/surroundings.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>

/* Bytes of the record that one agent may cause, at once and each day: so that none drives out what is known of the others. */
#define RECORD_BURST (UINT64_C(64) << 20)
#define RECORD_DAY (UINT64_C(16) << 20)

static void keeper_done(Keeper *keeper)
{
	spares_done(keeper);
	executions_close(keeper);
	repls_done(keeper);
	runs_done(keeper);
	server_free(keeper->server);
	sd_event_source_disable_unref(keeper->attach_timer);
	sd_event_source_disable_unref(keeper->record_timer);
	answer_done(&keeper->history_answer);
	secrets_done(keeper);
	record_free(keeper->record);
	account_free(keeper->account);
	settings_forget(keeper);
	policy_free(keeper->policy);
	policy_free(keeper->last_policy);
	free(keeper->policy_refusal);
	confinement_done(&keeper->confinement);
	identity_free(keeper->identity);
	fd_close(keeper->slice_fd);
	fd_close(keeper->leaves_fd);
	fd_close(keeper->rescue_fd);
	fd_close(keeper->kept_fd);
	fd_close(keeper->own_fd);
	sd_event_unref(keeper->event);
}

void keeper_load_policy(Keeper *keeper)
{
	const Identity *who = keeper->identity;
	Confinement confinement = CONFINEMENT_NONE;
	PolicyError reason;
	Policy *policy = NULL;
	int r;

	spares_renew(keeper);
	keeper->unprepared = false;
	keeper->policy_stamp = policy_stamp("", who->name);
	r = policy_load("", who->name, &policy, &keeper->policy_error);
	if (!r) {
		const ConfinementRequest request = {
			.policy = policy,
			.uid = who->uid,
			.gid = who->gid,
			.groups = who->groups,
			.n_groups = who->n_groups,
			.home = who->home,
		};

		r = confinement_prepare(&request, &confinement, &reason);
		keeper->unprepared = r < 0;
		if (r < 0)
			(void)snprintf(keeper->policy_error.text, sizeof(keeper->policy_error.text),
				"cannot prepare the confinement: %.400s", reason.text);
	}
	if (r < 0) {
		policy = policy_free(policy);
		log_error("logins are refused: %s", keeper->policy_error.text);
	}
	settings_forget(keeper);
	keeper_record_policy(keeper, keeper->policy ? keeper->policy : keeper->last_policy, policy);
	if (policy || keeper->policy) {
		policy_free(keeper->last_policy);
		keeper->last_policy = policy ? policy_free(keeper->policy) : keeper->policy;
	}
	keeper->policy = policy;
	confinement_done(&keeper->confinement);
	keeper->confinement = confinement;
	/* at the start: later, behind what must be there first */
	if (keeper->event)
		executions_open(keeper);
}

void keeper_refresh_policy(Keeper *keeper)
{
	if (policy_stamp("", keeper->identity->name) != keeper->policy_stamp ||
		!confinement_is_current(&keeper->confinement) ||
		/* a program that is being upgraded, memory that was short: soon it may be otherwise */
		(keeper->unprepared && rate_take(&keeper->preparations, NULL)))
		keeper_load_policy(keeper);
	else
		executions_open(keeper);
}

static int open_tree(Keeper *keeper)
{
	_cleanup_free_ char *slice = str_format("user-%u.slice", (unsigned int)keeper->uid);
	_cleanup_free_ char *leaves = str_format("creel-leaves@%u.service", (unsigned int)keeper->uid);
	_cleanup_free_ char *rescue = str_format("creel-rescue@%u.service", (unsigned int)keeper->uid);
	_cleanup_free_ char *own = str_format("creel-keeper@%u.service", (unsigned int)keeper->uid);
	int r;

	if (!slice || !leaves || !rescue || !own)
		return -ENOMEM;
	/* only looked at: without it runs are bounded by what the keeper itself counts */
	if (leaf_open_unit("creel.slice", own, &keeper->own_fd) < 0)
		log_warning("cannot look at the cgroup of %s", own);
	r = leaf_open_unit(slice, NULL, &keeper->slice_fd);
	if (!r)
		r = leaf_open_unit(slice, leaves, &keeper->leaves_fd);
	if (!r)
		r = leaf_prepare_unit(keeper->leaves_fd);
	if (r < 0) {
		log_error("cannot use the cgroup of %s: %s", leaves, strerror(-r));
		return r;
	}
	r = leaf_make(keeper->leaves_fd, "kept", NULL, false, &keeper->kept_fd);
	if (r == -EEXIST)
		r = leaf_open(keeper->leaves_fd, "kept", &keeper->kept_fd);
	if (r < 0) {
		log_error("cannot make the leaf kept: %s", strerror(-r));
		return r;
	}

	r = leaf_open_unit("creel.slice", rescue, &keeper->rescue_fd);
	if (!r)
		r = leaf_prepare_unit(keeper->rescue_fd);
	if (r < 0) {
		log_error("cannot use the cgroup of %s: %s", rescue, strerror(-r));
		return r;
	}
	return 0;
}

static void on_peer_gone(void *userdata, Peer *peer)
{
	Keeper *keeper = userdata;
	Session *next;

	runs_peer_gone(keeper, peer);
	/* the front's process died, and its workers with it: these connections are no more */
	for (Session *session = keeper->sessions; session; session = next) {
		next = session->next;
		if (session->front == peer) {
			session_hang_up(session);
			session_collect(session);
		}
	}
}

static int serve(Keeper *keeper)
{
	const struct passwd *front = getpwnam(FRONT_USER);
	const ServerConfig config = {
		.front_uid = front ? front->pw_uid : (uid_t)-1,
		.agent_uid = keeper->uid,
		.methods = keeper_methods,
		.keeper = keeper,
		.peer_gone = on_peer_gone,
	};

	if (!front) {
		log_error("the user " FRONT_USER " does not exist");
		return -ENOENT;
	}
	if (sd_listen_fds(1) != 1) {
		log_error("needs exactly one listening socket from systemd (creel-keeper@.socket)");
		return -EINVAL;
	}
	return server_new(keeper->event, SD_LISTEN_FDS_START, &config, &keeper->server);
}

/* sd_event_add_child_pidfd(3) wants it blocked, though pidfds tell it the ends; a child unblocks all (birth.c). */
static int block_child_signal(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	return sigprocmask(SIG_BLOCK, &set, NULL) < 0 ? -errno : 0;
}

/*
 * One is in this unit's bounding set for what agents execute (shell/confine/confine.c), and is not for the keeper itself.
 * Others are for the birth of a run, and in effect only then.
 */
static int reduce_privileges(void)
{
	int r = privilege_drop(PRIVILEGE(CAP_NET_RAW));

	return r < 0 ? r : privilege_lower(PRIVILEGE_SURROUNDINGS);
}

static int keeper_start(Keeper *keeper, const char *uid_text)
{
	uint64_t uid;
	int r;

	r = reduce_privileges();
	if (r < 0) {
		log_error("capabilities cannot be dropped: %s", strerror(-r));
		return r;
	}
	r = str_to_u64(uid_text, AGENT_UID_MAX, &uid);
	if (r < 0) {
		log_error("not an agent's uid: %s", uid_text);
		return r;
	}
	keeper->uid = (uid_t)uid;
	r = identity_load(keeper->uid, &keeper->identity);
	if (r < 0) {
		log_error("uid %u: %s", (unsigned int)keeper->uid,
			r == -EPERM ? "outside the agents' range" : strerror(-r));
		return r;
	}
	/* what is opened as the agent is opened with the agent's groups (identity_borrow()) */
	if (setgroups(keeper->identity->n_groups, keeper->identity->groups) < 0) {
		log_error("setgroups: %s", strerror(errno));
		return -errno;
	}
	(void)umask(022);

	r = record_new("creel-keeper", &keeper->record);
	if (!r) {
		record_bound(keeper->record, &(RecordBudget){ .burst = RECORD_BURST, .day = RECORD_DAY });
		record_name(keeper->record, keeper->identity->name, keeper->uid);
	}
	if (!r)
		r = account_new(keeper->identity->name, &keeper->account);
	if (r < 0) {
		log_error("cannot prepare the record or PAM service creel: %s", strerror(-r));
		return r;
	}
	keeper_load_policy(keeper);
	rescue_prepare(keeper);
	r = open_tree(keeper);
	if (r < 0)
		return r;

	r = block_child_signal();
	if (!r)
		r = sd_event_default(&keeper->event);
	if (r >= 0)
		r = sd_event_set_signal_exit(keeper->event, true);
	if (r >= 0)
		r = keeper_renew_on_reload(keeper);
	if (r >= 0) {
		runs_end_adopted(keeper);
		r = keeper_adopt(keeper);
	}
	if (r < 0) {
		log_error("cannot start: %s", strerror(-r));
		return r;
	}
	executions_open(keeper);
	terminal_recordings_watch(keeper);
	return serve(keeper);
}

int main(int argc, char **argv)
{
	_cleanup_(keeper_done) Keeper keeper = {
		.slice_fd = -EBADF,
		.leaves_fd = -EBADF,
		.rescue_fd = -EBADF,
		.kept_fd = -EBADF,
		.own_fd = -EBADF,
		.confinement = CONFINEMENT_NONE,
		.record_failures = { .interval_usec = 10000000, .burst = 3 },
		.refusals = { .interval_usec = 1000000, .burst = 30 },
		.forwards = { .interval_usec = 100000, .burst = 100 },
		.looks = { .interval_usec = 50000, .burst = 100 },
		.secrets = { .interval_usec = 200000, .burst = 50 },
		.budget = { .most = KEEPER_RUNS_BYTES },
		.run_refusals = { .interval_usec = 100000, .burst = 30 },
		.preparations = { .interval_usec = 1000000, .burst = 1 },
	};
	int r;

	log_open("creel-keeper");
	if (argc != 2) {
		log_error("usage: creel-keeper UID (started by systemd; see creel-keeper(8))");
		return EXIT_FAILURE;
	}
	/* a collector may be gone when it is asked */
	(void)signal(SIGPIPE, SIG_IGN);
	if (keeper_start(&keeper, argv[1]) < 0)
		return EXIT_FAILURE;
	(void)sd_notify(0, "READY=1");

	r = sd_event_loop(keeper.event);
	if (r < 0) {
		log_error("event loop: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/*
 * A run has the agent's confinement, as every process of it has. Two things are added where they are asked for: rules that
 * are made in the child, for a view whose files are not there yet; and a second, narrower confinement of bash runs by [exec]
 * bash_allow and bash_deny. Each combination is prepared when it is first needed, and kept until the policy or what it was
 * made from changes.
 *
 * A list of programs counts for nothing where a file without a name can be executed. So a bash run with one makes none
 * (its filter of calls), gets its code as a copy that nobody may execute, and no memfd for its stdin.
 *
 * Restricted, while the agent has the whole network: its sockets are told apart by the name of the cgroup they are made in,
 * a leaf in the run's leaf (RESTRICTED_LEAF; shell/enforce/mark.bpf.c), for which the firewall has the rules of a
 * restricted agent. None: a network namespace. In both cases the sockets of those who would do for a run what it may not
 * are covered; those that the agent itself left elsewhere are not: a run that shares its files can leave it a message, too.
 */
#include "shell/keeper/surroundings.h"
#include "shell/confine/paths.h"
#include "shell/keeper/run.h"
#include "shell/policy/enforced.h"

#include <string.h>
#include <sys/stat.h>

void setting_done(Setting *setting)
{
	free(setting->home);
	free(setting->output);
	fd_close(setting->surroundings.report_fd);
	fd_close(setting->read_fd);
	fd_close(setting->leaf_fd);
	*setting = SETTING_NONE;
}

LeafLimits setting_limits(const RunOptions *options)
{
	uint64_t reaper = options->independent ? 1 : 0;

	return (LeafLimits){
		.memory = options->memory,
		.tasks = options->processes == LEAF_UNLIMITED ? LEAF_UNLIMITED : options->processes + reaper,
		.cpu = options->cpu,
	};
}

void settings_forget(Keeper *keeper)
{
	for (size_t i = 0; i < ELEMENTSOF(keeper->variants); i++)
		if (keeper->variants[i].filter.program)
			confinement_done(&keeper->variants[i]);
}

/* ---- confinements ---- */

static int variant(Keeper *keeper, bool late, bool bash, const Confinement **ret, PolicyError *ret_reason)
{
	const Identity *who = keeper->identity;
	Confinement *kept = &keeper->variants[(late ? 1 : 0) + (bash ? 2 : 0)], made;
	const ConfinementRequest request = {
		.policy = keeper->policy,
		.uid = who->uid,
		.gid = who->gid,
		.groups = who->groups,
		.n_groups = who->n_groups,
		.home = who->home,
		.late = late,
		.bash = bash,
	};
	int r;

	if (!late && !bash) {
		*ret = &keeper->confinement;
		return 0;
	}
	if (!kept->filter.program || !confinement_is_current(kept)) {
		r = confinement_prepare(&request, &made, ret_reason);
		if (r < 0)
			return -EINVAL;
		if (kept->filter.program)
			confinement_done(kept);
		*kept = made;
	}
	*ret = kept;
	return 0;
}

/* A memfd, and not one that the keeper made (the row Memory): its owner can make it a program that has no path. */
static bool can_be_program(int fd)
{
	static const char prefix[] = "/memfd:";
	char path[32], target[sizeof(prefix)];
	struct stat st;

	if (fstat(fd, &st) == 0 && st.st_uid == 0 && !(st.st_mode & 0111))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return readlink(path, target, sizeof(target)) >= (ssize_t)sizeof(prefix) - 1 &&
	       memcmp(target, prefix, sizeof(prefix) - 1) == 0;
}

static int choose_confinement(Keeper *keeper, const RunOptions *options, BirthRequest *order, PolicyError *ret_reason)
{
	const Policy *policy = keeper->policy;
	bool bash = strcmp(options->language, "bash") == 0 && (policy->bash_allow.n || policy->bash_deny.n);
	int r;

	r = variant(keeper, options->independent, false, &order->confinement, ret_reason);
	if (r < 0 || !(bash || policy->commands_allow.n))
		return r;
	if (options->input_fd >= 0 && can_be_program(options->input_fd)) {
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text),
			"stdin: a memfd could be executed, and the policy names the programs ([commands] allow, [exec] "
			"bash_allow, bash_deny): give it a pipe, a file, or memory of the keeper's");
		return -EINVAL;
	}
	order->copy_third = true;
	return !bash ? 0 : variant(keeper, options->independent, true, &order->narrower, ret_reason);
}

/* ---- network ---- */

static int choose_network(const Keeper *keeper, const RunOptions *options, int leaf_fd, BirthRequest *order,
	Setting *setting, PolicyError *ret_reason)
{
	NetworkMode mode = run_network_mode(options->network);
	_cleanup_enforced_ Enforced enforced = { 0 };
	char lacks[sizeof(ret_reason->text) - 16];
	int r;

	order->leaf_fd = leaf_fd;
	setting->surroundings.own_network = mode == NETWORK_NONE;
	setting->surroundings.closed_doors = mode > keeper->policy->network;
	if (mode != NETWORK_RESTRICTED || keeper->policy->network != NETWORK_FULL)
		return 0;
	if (access(MARK_FILE, F_OK) < 0) {
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text),
			"network: a restricted run could not be told from its agent: " MARK_FILE ": %s",
			strerror(errno));
		return -EINVAL;
	}
	/* logins of such an agent need none of that, so nobody has asked yet; the error means that nothing is in force */
	r = enforced_read("", keeper->uid, &enforced);
	if (enforced_lacks_restricted(r < 0 ? NULL : &enforced, lacks, sizeof(lacks))) {
		(void)snprintf(ret_reason->text, sizeof(ret_reason->text), "network: %s", lacks);
		return -EINVAL;
	}
	r = leaf_make(leaf_fd, RESTRICTED_LEAF, NULL, false, &setting->leaf_fd);
	if (!r)
		order->leaf_fd = setting->leaf_fd;
	return r;
}

/* ---- view ---- */

static int choose_view(const Keeper *keeper, const RunOptions *options, Setting *setting)
{
	const char *output = keeper->policy->output_dir;
	int r;

	if (!options->independent)
		return 0;
	r = path_resolve(keeper->identity->home, &setting->home);
	if (r < 0)
		return r;
	if (strncmp(output, "~/", 2) == 0)
		output += 2;
	setting->output = *output == '/' ? strdup(output) : path_join(setting->home, output);
	if (!setting->output)
		return -ENOMEM;
	setting->view = (View){
		.uid = keeper->identity->uid,
		.gid = keeper->identity->gid,
		.home = setting->home,
		.output = setting->output,
		.output_seen_as = keeper->policy->output_seen_as.items,
		.n_seen_as = keeper->policy->output_seen_as.n,
		.scratch = keeper->policy->exec_scratch,
	};
	setting->surroundings.view = &setting->view;
	return birth_report_new(&setting->read_fd, &setting->surroundings.report_fd);
}

int setting_prepare(Keeper *keeper, const RunOptions *options, int leaf_fd, BirthRequest *order, Setting *ret,
	PolicyError *ret_reason)
{
	int r;

	r = choose_confinement(keeper, options, order, ret_reason);
	if (!r)
		r = choose_view(keeper, options, ret);
	if (!r)
		r = choose_network(keeper, options, leaf_fd, order, ret, ret_reason);
	if (r < 0)
		return r;
	order->directory = options->directory;
	order->surroundings = &ret->surroundings;
	return 0;
}

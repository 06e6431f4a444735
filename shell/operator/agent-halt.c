/* SPDX-License-Identifier: MIT */
/*
 * creelctl agent stop, start, freeze, thaw. Stopped: nothing of the agent lives, and nobody can log in, until it is started or the
 * machine is. Frozen: all that it runs stands still in the kernel and keeps its memory, and nothing is born beside it.
 */
#include "shell/operator/operator.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <string.h>

static int find(const char *name, Agent *ret, Reason *ret_reason)
{
	int r = agent_find(name, ret, ret_reason);

	if (r < 0)
		return r;
	/* without its policy nobody logs in as it; what runs, runs on */
	if ((!ret->has_file && !ret->uid_marked) || !agent_uid_valid(ret))
		return reason_set(ret_reason, -ENOENT, "there is no agent `%s`: see creelctl agent list", name);
	return 0;
}

static int stop(const Agent *agent, Reason *ret_reason)
{
	int r = units_stopped_set(agent->uid, true, ret_reason);

	if (r < 0)
		return r;
	r = units_stop(agent->name, agent->uid, ret_reason);
	if (r < 0)
		return r;
	(void)printf("agent %s stopped: nothing of it runs, and nobody can log in until creelctl agent start %s\n",
		agent->name, agent->name);
	return 0;
}

static int start(const Agent *agent, Reason *ret_reason)
{
	int r;

	/* its user manager asks for the account, too, and would not start */
	if (agent->locked)
		return reason_set(ret_reason, -EPERM, "agent %s is locked: creelctl agent unlock %s first", agent->name,
			agent->name);
	if (!agent->has_file)
		return reason_set(ret_reason, -ENOENT,
			"agent %s has no policy file: put %s back, or creelctl agent remove %s", agent->name,
			agent->file, agent->name);
	/* without a policy its units were generated so that nothing starts, and the kernel lets nothing of it be born */
	r = policy_apply_begin(ret_reason);
	if (r)
		return r;
	r = units_stopped_set(agent->uid, false, ret_reason);
	if (r < 0)
		return r;
	r = units_start(agent->uid, ret_reason);
	if (r)
		return r;
	(void)printf("agent %s started\n", agent->name);
	return 0;
}

/* The slice, and the unit beside it in which a login that finds the slice full is rescued. */
static int set_frozen(const Agent *agent, bool frozen, Reason *ret_reason)
{
	char slice[96], rescue[96];
	int r, k;

	(void)snprintf(slice, sizeof(slice), "/sys/fs/cgroup/user.slice/user-%u.slice/cgroup.freeze", agent->uid);
	(void)snprintf(
		rescue, sizeof(rescue), "/sys/fs/cgroup/creel.slice/creel-rescue@%u.service/cgroup.freeze", agent->uid);
	r = file_put_at(AT_FDCWD, slice, frozen ? "1" : "0");
	k = file_put_at(AT_FDCWD, rescue, frozen ? "1" : "0");
	if (r == -ENOENT)
		return reason_set(
			ret_reason, r, "agent %s does not run: creelctl agent start %s", agent->name, agent->name);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", slice, strerror(-r));
	/* whole or not at all */
	if (k < 0 && k != -ENOENT) {
		(void)!file_put_at(AT_FDCWD, slice, frozen ? "0" : "1");
		return reason_set(ret_reason, k, "%s: %s", rescue, strerror(-k));
	}
	return 0;
}

static int freeze(const Agent *agent, Reason *ret_reason)
{
	int r = set_frozen(agent, true, ret_reason);

	if (r == 0)
		(void)printf("agent %s frozen: all that it runs stands still, and logins are refused\n", agent->name);
	return r;
}

static int thaw(const Agent *agent, Reason *ret_reason)
{
	int r = set_frozen(agent, false, ret_reason);

	if (r == 0)
		(void)printf("agent %s goes on\n", agent->name);
	return r;
}

static int act(int argc, char **argv, int (*what)(const Agent *agent, Reason *ret_reason))
{
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	const WordOption options[] = { { NULL } };
	const char *name = NULL;
	Reason reason = { "" };

	if (words_parse(argc, argv, options, &name) < 0 || !name)
		return EXIT_USAGE;
	if (agents_lock(&lock_fd, &reason) < 0 || find(name, &agent, &reason) < 0 || what(&agent, &reason)) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

int agent_stop_main(int argc, char **argv)
{
	return act(argc, argv, stop);
}

int agent_start_main(int argc, char **argv)
{
	return act(argc, argv, start);
}

int agent_freeze_main(int argc, char **argv)
{
	return act(argc, argv, freeze);
}

int agent_thaw_main(int argc, char **argv)
{
	return act(argc, argv, thaw);
}

/* SPDX-License-Identifier: MIT */
#include "shell/operator/operator.h"

#include <grp.h>
#include <sys/fsuid.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Its other uids stay root's: a process of the agent's could be stopped by the agent, and with it creelctl, which holds a lock. */
static bool borrow(const Agent *agent)
{
	if (setgroups(0, NULL) < 0)
		return false;
	(void)setfsgid(agent->gid);
	(void)setfsuid(agent->uid);
	/* neither reports a failure; an id that is not valid changes nothing and tells the present one (setfsuid(2)) */
	return setfsgid((gid_t)-1) == (int)agent->gid && setfsuid((uid_t)-1) == (int)agent->uid;
}

int agent_act(const Agent *agent, int (*act)(const void *data), const void *data)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (!borrow(agent))
			_exit(EPERM);
		(void)umask(077);
		_exit(-act(data));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

/* SPDX-License-Identifier: MIT */
#include "shell/operator/operator.h"

#include <grp.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

int agent_act(const Agent *agent, int (*act)(const void *data), const void *data)
{
	int status = 0;
	pid_t pid = fork();

	if (pid < 0)
		return -errno;
	if (pid == 0) {
		if (setgroups(0, NULL) < 0 || setresgid(agent->gid, agent->gid, agent->gid) < 0 ||
			setresuid(agent->uid, agent->uid, agent->uid) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
			_exit(errno);
		(void)umask(077);
		_exit(-act(data));
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFEXITED(status) ? -WEXITSTATUS(status) : -EPROTO;
}

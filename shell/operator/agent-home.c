/* SPDX-License-Identifier: MIT */
#include "shell/operator/agent-home.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

/* What agents redirect into and write to without making it first. */
static const char *const folders[] = { "data", "logs", "output", "pids", "scripts" };

/* git commits nothing for a user without a name and an address. What /etc/skel brought stays. */
static int write_gitconfig(const char *name, int home_fd)
{
	_cleanup_close_ int fd = -EBADF;
	char host[HOST_NAME_MAX + 1] = "";

	if (gethostname(host, sizeof(host)) < 0)
		return -errno;
	fd = openat(home_fd, ".gitconfig", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return errno == EEXIST ? 0 : -errno;
	return dprintf(fd, "[user]\n\tname = %s\n\temail = %s@%s\n", name, name, host) < 0 ? -errno : 0;
}

static int write_keys(const char *text, int home_fd)
{
	_cleanup_close_ int ssh_fd = -EBADF, fd = -EBADF;
	int r;

	if (mkdirat(home_fd, ".ssh", 0700) < 0 && errno != EEXIST)
		return -errno;
	ssh_fd = openat(home_fd, ".ssh", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (ssh_fd < 0)
		return -errno;
	if (!text)
		return 0;
	fd = openat(ssh_fd, "authorized_keys", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	r = file_write_all(fd, text, strlen(text));
	if (r < 0)
		return r;
	return fsync(fd) < 0 ? -errno : 0;
}

/* As the agent. */
static int fill(const void *data)
{
	const AgentHome *home = data;
	_cleanup_close_ int home_fd = open(home->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	int r;

	if (home_fd < 0)
		return -errno;
	r = write_keys(home->key_text, home_fd);
	if (r < 0)
		return r;
	/* a workspace elsewhere is the operator's to make */
	if (!strchr(home->workspace, '/') && mkdirat(home_fd, home->workspace, 0755) < 0 && errno != EEXIST)
		return -errno;
	for (size_t i = 0; i < ELEMENTSOF(folders); i++)
		if (mkdirat(home_fd, folders[i], 0755) < 0 && errno != EEXIST)
			return -errno;
	return write_gitconfig(home->agent->name, home_fd);
}

int agent_home_fill(const AgentHome *home, Reason *ret_reason)
{
	int r = agent_act(home->agent, fill, home);

	return r < 0 ? reason_set(ret_reason, r, "%s: %s", home->path, strerror(-r)) : 0;
}

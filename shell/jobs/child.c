/* SPDX-License-Identifier: MIT */
#include "shell/jobs/child.h"
#include "shell/base/spawn.h"
#include "shell/base/str.h"
#include "shell/jobs/span.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>

extern char **environ;

/* Takes `pid`: it is waited for. */
static int end_of(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

/* What it leaves behind may hold its output for ever: the end of the program itself is the end. */
static int collect(int fd, int pid_fd, uint64_t timeout_usec, size_t max, char *text, size_t *ret_n)
{
	uint64_t end = now_monotonic() + timeout_usec;
	struct pollfd fds[] = { { .fd = fd, .events = POLLIN }, { .fd = pid_fd, .events = POLLIN } };
	bool ended = false;
	char rest[4096];

	*ret_n = 0;
	for (;;) {
		uint64_t now = now_monotonic();
		bool room = *ret_n < max;
		ssize_t n;

		if (now >= end)
			return -ETIMEDOUT;
		if (!ended && poll(fds, ELEMENTSOF(fds), (int)((end - now) / 1000) + 1) < 0 && errno != EINTR)
			return -errno;
		ended = ended || (fds[1].revents & POLLIN);
		n = read(fd, room ? text + *ret_n : rest, room ? max - *ret_n : sizeof(rest));
		if (n > 0 && room)
			*ret_n += (size_t)n;
		if (n > 0 || (n < 0 && errno == EINTR))
			continue;
		if (n == 0)
			fds[0].fd = -1;
		if (ended)
			return 0;
		if (n < 0 && errno != EAGAIN)
			return -errno;
	}
}

/* What is read here is in the C locale. */
static int child_environment(StrList *ret)
{
	int r = 0;

	for (char **one = environ; *one && !r; one++)
		if (strncmp(*one, "LC_", 3) != 0 && strncmp(*one, "LANG", 4) != 0)
			r = strlist_add(ret, *one);
	return r ? r : strlist_add(ret, "LC_ALL=C");
}

int child_read(const char *const *argv, uint64_t timeout_usec, size_t max, char **ret, Reason *ret_reason)
{
	_cleanup_free_ char *text = malloc(max + 1);
	_cleanup_strlist_ StrList environment = { 0 };
	_cleanup_close_ int pid_fd = -EBADF, read_fd = -EBADF, write_fd = -EBADF;
	int fds[2], r, status;
	size_t n = 0;
	pid_t pid = -1;

	if (!text)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return reason_set(ret_reason, -errno, "pipe: %s", strerror(errno));
	read_fd = fds[0];
	write_fd = fds[1];
	(void)fcntl(read_fd, F_SETFL, O_NONBLOCK);
	r = child_environment(&environment);
	if (!r)
		r = spawn(&(SpawnRequest){ .arguments = argv,
				  .environment = environment.items,
				  .input_fd = -EBADF,
				  .output_fd = write_fd,
				  .error_fd = write_fd,
				  .search = true },
			&pid);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r));
	write_fd = fd_close(write_fd);
	pid_fd = pidfd_open(pid, 0);
	r = pid_fd < 0 ? -errno : collect(read_fd, pid_fd, timeout_usec, max, text, &n);
	if (r < 0)
		(void)kill(pid, SIGKILL);
	status = end_of(pid);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], r == -ETIMEDOUT ? "it does not end" : strerror(-r));
	text[n] = '\0';
	*ret = TAKE_PTR(text);
	return status;
}

/* SPDX-License-Identifier: MIT */
#include "shell/jobs/end.h"
#include "shell/jobs/span.h"

#include <poll.h>
#include <signal.h>
#include <sys/pidfd.h>

#define LAST_USEC (5 * USEC_PER_SEC) /* after SIGKILL */

static void send_all(const int *fds, size_t n, int signal, int *ret_error)
{
	for (size_t i = 0; i < n; i++)
		if (fds[i] >= 0 && pidfd_send_signal(fds[i], signal, NULL, 0) < 0 && errno != ESRCH)
			*ret_error = -errno;
}

/* Until all are gone or the time is over; how many live. */
static size_t wait_all(int *fds, size_t n, uint64_t timeout_usec)
{
	uint64_t end = now_monotonic() + timeout_usec;
	size_t alive = 0;

	for (size_t i = 0; i < n; i++) {
		struct pollfd one = { .fd = fds[i], .events = POLLIN };
		uint64_t now = now_monotonic();
		int left = now >= end ? 0 : (int)((end - now) / 1000 + 1);

		if (fds[i] < 0)
			continue;
		if (poll(&one, 1, left) > 0)
			fds[i] = fd_close(fds[i]);
		else
			alive++;
	}
	return alive;
}

int processes_end(const Processes *processes, const pid_t *pids, size_t n, bool hang_up, uint64_t grace_usec)
{
	_cleanup_free_ int *fds = calloc(n + 1, sizeof(*fds));
	int error = 0;
	size_t alive;

	if (!fds)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const Process *process = processes_find(processes, pids[i]);

		fds[i] = process ? process_open(process) : -ESRCH;
		if (fds[i] < 0 && fds[i] != -ESRCH)
			error = fds[i];
	}
	send_all(fds, n, SIGTERM, &error);
	if (hang_up)
		send_all(fds, n, SIGHUP, &error);
	/* what is stopped takes no signal else */
	send_all(fds, n, SIGCONT, &error);
	alive = wait_all(fds, n, grace_usec);
	if (alive) {
		send_all(fds, n, SIGKILL, &error);
		alive = wait_all(fds, n, LAST_USEC);
	}
	for (size_t i = 0; i < n; i++)
		fds[i] = fd_close(fds[i]);
	return error ? error : alive ? -ETIMEDOUT : 0;
}

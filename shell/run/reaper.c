/* SPDX-License-Identifier: MIT */
/*
 * Signals are taken one by one (sigwaitinfo(3)) and not handled: a signal without a handler that comes from within the
 * namespace is not delivered to process 1, unless it is blocked. Both that are taken do no harm whoever sends them.
 *
 * It says nothing of the program's end that others could say in its place: the pipe is closed in the program.
 */
#include "shell/run/reaper.h"
#include "shell/base/cleanup.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define LEAST_LEFT 65536U /* bytes: less is full */

static void fill(sigset_t *set)
{
	(void)sigemptyset(set);
	(void)sigaddset(set, SIGINT);
	(void)sigaddset(set, SIGCHLD);
}

int reaper_prepare(void)
{
	sigset_t set;

	fill(&set);
	return sigprocmask(SIG_SETMASK, &set, NULL) < 0 ? -errno : 0;
}

/* Nobody else sees it: it ends with this process. */
static bool scratch_is_full(void)
{
	struct statvfs scratch;

	return statvfs("/tmp", &scratch) == 0 &&
	       (scratch.f_bavail * scratch.f_frsize < LEAST_LEFT || scratch.f_favail == 0);
}

static _Noreturn void report(int report_fd, const siginfo_t *info)
{
	const ReaperReport text = { .code = info->si_code, .status = info->si_status, .full = scratch_is_full() };
	ssize_t n;

	do /* a pipe takes this at once, or the reader is gone */
		n = write(report_fd, &text, sizeof(text));
	while (n < 0 && errno == EINTR);
	_exit(info->si_code == CLD_EXITED ? info->si_status : 128 + info->si_status);
}

/* All that ended. */
static void reap(pid_t program, int report_fd)
{
	for (;;) {
		siginfo_t info = { 0 };

		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG) < 0 || !info.si_pid)
			return;
		if (info.si_pid == program)
			report(report_fd, &info);
	}
}

void reaper_main(pid_t program, int report_fd)
{
	sigset_t set;

	fill(&set);
	/* whoever reads from the program sees the end of it when the program closed it */
	for (int fd = 0; fd <= 3; fd++)
		if (fd != report_fd)
			(void)close(fd);
	for (;;) {
		int taken;

		reap(program, report_fd);
		taken = sigwaitinfo(&set, NULL);
		/* as a terminal would: what the program waits for is of its group, unless it is not there yet */
		if (taken == SIGINT && kill(-program, SIGINT) < 0)
			(void)kill(program, SIGINT);
	}
}

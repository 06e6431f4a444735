/* SPDX-License-Identifier: MIT */
/*
 * The child is a copy of a single-threaded parent (no CLONE_VM), so libc's state is sound in it; still nothing here
 * allocates or locks, because the confinement's contract says so and a later CLONE_VM would need it.
 */
#include "shell/run/birth.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

static void tell(const char *text)
{
	if (write(STDERR_FILENO, text, strlen(text)) < 0) {
		/* the exit status still tells */
	}
}

static _Noreturn void give_up(int status, const char *what, int error)
{
	/* strerrordesc_np() returns a constant: no locale, no allocation (glibc >= 2.32) */
	const char *reason = strerrordesc_np(-error);

	tell("creel: ");
	tell(what);
	tell(": ");
	tell(reason ? reason : "unknown error");
	tell("\n");
	_exit(status);
}

static int take_descriptors(const BirthRequest *request)
{
	int rules_fd = request->confinement->ruleset_fd;
	unsigned int kept = request->third_fd > 0 ? 4 : 3; /* the first number that is to be closed */

	/* in the keeper 0, 1 and 2 are always open, so none of the three sources is one of the three targets */
	if (dup2(request->input_fd, STDIN_FILENO) < 0 || dup2(request->output_fd, STDOUT_FILENO) < 0 ||
		dup2(request->error_fd, STDERR_FILENO) < 0)
		return -errno;
	if (request->third_fd > 0) {
		/* 3 is the keeper's listening socket, where systemd put it */
		if (rules_fd == 3)
			return -EBUSY;
		/* dup2(2) onto itself would leave close-on-exec set */
		if (request->third_fd == 3 ? fcntl(3, F_SETFD, 0) < 0 : dup2(request->third_fd, 3) < 0)
			return -errno;
	}
	/* the rules are still to be applied, and that closes them */
	if (rules_fd < 0)
		return syscall(SYS_close_range, kept, ~0U, 0U) < 0 ? -errno : 0;
	if ((unsigned int)rules_fd > kept && syscall(SYS_close_range, kept, (unsigned int)rules_fd - 1, 0U) < 0)
		return -errno;
	return syscall(SYS_close_range, (unsigned int)rules_fd + 1, ~0U, 0U) < 0 ? -errno : 0;
}

static void reset_signals(void)
{
	struct sigaction action = { .sa_handler = SIG_DFL };
	sigset_t none;

	for (int signal_number = 1; signal_number < NSIG; signal_number++)
		(void)sigaction(
			signal_number, &action, NULL); /* SIGKILL, SIGSTOP and libc's own refuse: as they should */
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
}

/*
 * Whoever logged in stays on record with the kernel: once set, only CAP_AUDIT_CONTROL changes it (credentials(7)), so that no
 * agent names another. Set already, or a kernel without: there is nothing to forge then.
 */
static void set_login_uid(const char *text)
{
	int fd = open("/proc/self/loginuid", O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) < 0) {
		/* as said */
	}
	(void)fd_close(fd);
}

static _Noreturn void child(const BirthRequest *request, const char *uid)
{
	const char *step = NULL;
	int r;

	if (setsid() < 0)
		_exit(BIRTH_EXIT_CONFINEMENT);
	if (request->terminal && ioctl(request->input_fd, TIOCSCTTY, 0) < 0)
		_exit(BIRTH_EXIT_CONFINEMENT);
	if (take_descriptors(request) < 0)
		_exit(BIRTH_EXIT_CONFINEMENT);

	set_login_uid(uid);
	r = confinement_apply(request->confinement, &step);
	if (r < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, step, r);

	/* from here on this is the agent */
	(void)umask(022);
	if (chdir(request->home) < 0) {
		tell("creel: cannot enter the home folder; starting in /\n");
		if (chdir("/") < 0)
			give_up(BIRTH_EXIT_CONFINEMENT, "chdir /", -errno);
	}
	reset_signals();
	if (request->entry && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, "sealing the process", -errno);
	if (request->entry)
		_exit(request->entry(request->entry_argument));
	(void)execve(request->program, request->arguments, request->environment);
	give_up(errno == ENOENT ? BIRTH_EXIT_NOT_FOUND : BIRTH_EXIT_CANNOT_EXECUTE, request->program, -errno);
}

int birth(const BirthRequest *request, pid_t *ret_pid, int *ret_pid_fd)
{
	int pid_fd = -EBADF;
	struct clone_args arguments = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pid_fd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)request->leaf_fd,
	};
	char uid[16];
	long pid;

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)request->confinement->uid);
	pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
	if (pid < 0)
		return -errno;
	if (pid == 0)
		child(request, uid);
	*ret_pid = (pid_t)pid;
	*ret_pid_fd = pid_fd;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The child is a copy of a single-threaded parent (no CLONE_VM), so libc's state is sound in it; still nothing here
 * allocates or locks, because the confinement's contract says so and a later CLONE_VM would need it. The one exception is
 * a child with a view: the rules about its files are made of files that are there only then (shell/confine/confine.h).
 *
 * Why the child makes its view itself, and no helper before it: mounts belong to the namespace that is made with the clone,
 * and end with it. A helper would be one process more to begin, to trust and to find again when the keeper dies.
 */
#include "shell/run/birth.h"
#include "shell/base/privilege.h"
#include "shell/run/reaper.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define THIRD_FD 3
/* view_enter() puts the one that it needs besides into effect itself */
#define NEEDED (PRIVILEGE(CAP_SYS_ADMIN) | PRIVILEGE(CAP_NET_ADMIN))

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

/* What of the request is still needed once the keeper's descriptors are closed, as the child has it. */
typedef struct Child {
	const BirthRequest *request;
	Confinement confinement, narrower;
	int report_fd;
} Child;

static int lift(int *fd)
{
	if (*fd < 0)
		return 0;
	*fd = fcntl(*fd, F_DUPFD_CLOEXEC, THIRD_FD + 1);
	return *fd < 0 ? -errno : 0;
}

/* Those to be kept, in rising order; all others above 2 are closed. */
static int close_others(int *keep, size_t n)
{
	unsigned int from = STDERR_FILENO + 1;

	for (size_t i = 1; i < n; i++)
		for (size_t k = i; k && keep[k] < keep[k - 1]; k--) {
			int fd = keep[k];

			keep[k] = keep[k - 1];
			keep[k - 1] = fd;
		}
	for (size_t i = 0; i < n; i++) {
		if (keep[i] < 0)
			continue;
		if ((unsigned int)keep[i] > from && syscall(SYS_close_range, from, (unsigned int)keep[i] - 1, 0U) < 0)
			return -errno;
		from = (unsigned int)keep[i] + 1;
	}
	return syscall(SYS_close_range, from, ~0U, 0U) < 0 ? -errno : 0;
}

static int take_descriptors(Child *child)
{
	const BirthRequest *request = child->request;
	int third_fd = request->third_fd > STDERR_FILENO ? request->third_fd : -EBADF;
	int r;

	/* out of the way of the one that becomes 3 */
	r = lift(&child->confinement.ruleset_fd);
	if (!r)
		r = lift(&child->narrower.ruleset_fd);
	if (!r)
		r = lift(&child->report_fd);
	if (r < 0)
		return r;
	/* in the keeper 0, 1 and 2 are always open, so none of the three sources is one of the three targets; 3 may be one */
	if (dup2(request->input_fd, STDIN_FILENO) < 0 || dup2(request->output_fd, STDOUT_FILENO) < 0 ||
		dup2(request->error_fd, STDERR_FILENO) < 0)
		return -errno;
	if (third_fd == THIRD_FD && fcntl(THIRD_FD, F_SETFD, 0) < 0)
		return -errno;
	if (third_fd > THIRD_FD && dup2(third_fd, THIRD_FD) < 0)
		return -errno;

	/* the rules are still to be applied, and that closes them */
	int keep[] = { third_fd < 0 ? -EBADF : THIRD_FD, child->confinement.ruleset_fd, child->narrower.ruleset_fd,
		child->report_fd };

	return close_others(keep, ELEMENTSOF(keep));
}

/*
 * Still root's, and in the child, so that it counts as the run's memory. A memfd can be executed by its name in /proc, unless
 * its mode says that it cannot, which only its owner changes.
 */
static int copy_third(void)
{
	_cleanup_close_ int copy_fd = memfd_create("code", MFD_CLOEXEC), read_fd = -EBADF;
	char path[32];
	off_t at = 0;
	struct stat st;

	if (copy_fd < 0 || fstat(THIRD_FD, &st) < 0)
		return -errno;
	while (at < st.st_size)
		if (sendfile(copy_fd, THIRD_FD, &at, (size_t)(st.st_size - at)) <= 0)
			return -EIO;
	if (fchmod(copy_fd, 0444) < 0)
		return -errno;
	/* a description of its own, as whoever inherits the other could still write to it */
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", copy_fd);
	read_fd = open(path, O_RDONLY | O_CLOEXEC);
	if (read_fd < 0 || dup2(read_fd, THIRD_FD) < 0)
		return -errno;
	return 0;
}

/* ---- surroundings ---- */

static int enter(const Surroundings *surroundings, uid_t uid, const char **ret_step)
{
	int r = 0;

	if (surroundings->own_network) {
		*ret_step = "loopback of the network namespace";
		r = loopback_raise();
	}
	if (!r && surroundings->view)
		return view_enter(surroundings->view, ret_step);
	return !r && surroundings->closed_doors ? view_close_doors(uid, ret_step) : r;
}

static int make_rules(Child *child, const char **ret_step)
{
	int r;

	*ret_step = "make rules about files (Landlock)";
	r = confinement_make_rules(&child->confinement, &child->confinement.ruleset_fd);
	if (!r && child->request->narrower)
		r = confinement_make_rules(&child->narrower, &child->narrower.ruleset_fd);
	return r;
}

/* Returns in the program's process; the other one stays and waits for it. */
static void leave_reaper(const Child *child)
{
	pid_t program;

	/* before there is somebody who could look */
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, "sealing the reaper", -errno);
	if (reaper_prepare() < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, "preparing the reaper", -errno);
	program = fork();
	if (program < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, "fork", -errno);
	if (program > 0)
		reaper_main(program, child->report_fd);
	(void)close(child->report_fd);
	/* a session of its own, as without a reaper */
	(void)setsid();
}

/* ---- the child ---- */

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

static void confine(Child *child)
{
	const Surroundings *surroundings = child->request->surroundings;
	const char *step = NULL;
	int r = 0;

	if (child->request->copy_third) {
		step = "copy the code";
		r = copy_third();
	}
	if (!r && surroundings)
		r = enter(surroundings, child->confinement.uid, &step);
	if (!r)
		r = make_rules(child, &step);
	if (!r)
		r = confinement_apply(&child->confinement, &step);
	if (!r && child->request->narrower)
		r = confinement_narrow(&child->narrower, &step);
	if (r < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, step, r);
}

static void go_to_work(const BirthRequest *request)
{
	if (request->directory) {
		if (chdir(request->directory) < 0)
			give_up(BIRTH_EXIT_DIRECTORY, request->directory, -errno);
		return;
	}
	if (chdir(request->home) < 0) {
		tell("creel: cannot enter the home folder; starting in /\n");
		if (chdir("/") < 0)
			give_up(BIRTH_EXIT_CONFINEMENT, "chdir /", -errno);
	}
}

static _Noreturn void child(const BirthRequest *request, const char *uid)
{
	Child self = {
		.request = request,
		.confinement = *request->confinement,
		.narrower = request->narrower ? *request->narrower : CONFINEMENT_NONE,
		.report_fd = request->surroundings && request->surroundings->view ? request->surroundings->report_fd
										  : -EBADF,
	};

	if (setsid() < 0)
		_exit(BIRTH_EXIT_CONFINEMENT);
	if (request->terminal && ioctl(request->input_fd, TIOCSCTTY, 0) < 0)
		_exit(BIRTH_EXIT_CONFINEMENT);
	if (take_descriptors(&self) < 0)
		_exit(BIRTH_EXIT_CONFINEMENT);

	set_login_uid(uid);
	confine(&self);

	/* from here on this is the agent */
	(void)umask(022);
	go_to_work(request);
	if (self.report_fd >= 0)
		leave_reaper(&self);
	reset_signals();
	if (request->entry && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		give_up(BIRTH_EXIT_CONFINEMENT, "sealing the process", -errno);
	if (request->entry)
		_exit(request->entry(request->entry_argument));
	(void)execve(request->program, request->arguments, request->environment);
	give_up(errno == ENOENT ? BIRTH_EXIT_NOT_FOUND : BIRTH_EXIT_CANNOT_EXECUTE, request->program, -errno);
}

static uint64_t namespaces(const Surroundings *surroundings)
{
	uint64_t flags = 0;

	if (!surroundings)
		return 0;
	if (surroundings->own_network)
		flags |= CLONE_NEWNET;
	if (surroundings->closed_doors)
		flags |= CLONE_NEWNS;
	if (surroundings->view)
		flags |= CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS;
	return flags;
}

int birth(const BirthRequest *request, pid_t *ret_pid, int *ret_pid_fd)
{
	int pid_fd = -EBADF, error, r = 0;
	uint64_t own = namespaces(request->surroundings);
	struct clone_args arguments = {
		.flags = CLONE_INTO_CGROUP | CLONE_PIDFD | own,
		.pidfd = (uint64_t)(uintptr_t)&pid_fd,
		.exit_signal = SIGCHLD,
		.cgroup = (uint64_t)request->leaf_fd,
	};
	char uid[16];
	long pid;

	(void)snprintf(uid, sizeof(uid), "%u", (unsigned int)request->confinement->uid);
	if (own)
		r = privilege_raise(NEEDED);
	if (r < 0)
		return r;
	pid = syscall(SYS_clone3, &arguments, sizeof(arguments));
	error = errno;
	if (pid == 0)
		child(request, uid);
	/* to lower what is in effect never fails */
	if (own)
		(void)!privilege_lower(PRIVILEGE_SURROUNDINGS);
	if (pid < 0)
		return -error;
	*ret_pid = (pid_t)pid;
	*ret_pid_fd = pid_fd;
	return 0;
}

int birth_report_new(int *ret_read_fd, int *ret_report_fd)
{
	int ends[2];

	if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) < 0)
		return -errno;
	*ret_read_fd = ends[0];
	*ret_report_fd = ends[1];
	return 0;
}

bool birth_ending(int read_fd, const siginfo_t *info, int *ret_code, int *ret_status, bool *ret_full)
{
	ReaperReport report;

	*ret_code = info->si_code;
	*ret_status = info->si_status;
	*ret_full = false;
	if (read_fd < 0)
		return true;
	if (read(read_fd, &report, sizeof(report)) != sizeof(report))
		return info->si_code != CLD_EXITED;
	*ret_code = report.code;
	*ret_status = report.status;
	*ret_full = report.full;
	return true;
}

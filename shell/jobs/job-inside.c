/* SPDX-License-Identifier: MIT */
/*
 * What the unit of a job runs: `inside` becomes the job's program, `ended` is run when nothing of it is left (ExecStopPost).
 *
 * Before it becomes the program, `inside` forks the reader of its output. So the main process of the unit is the program itself,
 * the number in the PID file is its own, and systemd sees how it ended; the reader bounds the log, and is a process of the unit
 * as well: where the program is, its log is. The reader tells systemd that the program runs - or that it could not be executed,
 * then nothing of the job is left in the home.
 */
#include "shell/base/file.h"
#include "shell/base/job-words.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job.h"
#include "shell/jobs/joblog.h"
#include "shell/jobs/options.h"
#include "shell/jobs/pidfile.h"
#include "shell/jobs/span.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/pidfd.h>
#include <systemd/sd-daemon.h>

#define PIPE_BYTES (256 * 1024)
#define COPY_BYTES (64U * 1024)
#define SETTLE_MSEC 300 /* what goes into the background forks twice */

#define EXIT_NOT_FOUND 127
#define EXIT_NOT_EXECUTABLE 126

typedef struct Inside {
	JobRecord record;
	bool again; /* systemd started it once more after a failure */
	int logs_fd, pids_fd;
	int output_fds[2]; /* of the program: the reader's end, its own */
	int told_fds[2];   /* closed by the execution, or written to when that failed */
	pid_t program;
	int program_fd;
} Inside;

/* systemd keeps the text, `creel job start` shows it. */
static int fail(int status, const char *text)
{
	(void)sd_notifyf(0, "STATUS=%s", text);
	(void)fprintf(stderr, "%s\n", text);
	return status;
}

/* ---- the cgroup of this process: the unit's ---- */

static int cgroup_open(void)
{
	char text[4096], path[4200], *end;

	if (file_get_at(AT_FDCWD, "/proc/self/cgroup", text, sizeof(text)) < 0 || strncmp(text, "0::/", 4) != 0)
		return -EIO;
	end = strchr(text, '\n');
	if (end)
		*end = '\0';
	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup%s", text + 3);
	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

/* The first process of the unit that is neither this one nor `not`; 0: there is none. */
static pid_t others_first(pid_t not )
{
	_cleanup_close_ int fd = cgroup_open();
	char text[4096];

	if (fd < 0 || file_get_at(fd, "cgroup.procs", text, sizeof(text)) < 0)
		return 0;
	for (char *line = text, *next; line && *line; line = next) {
		pid_t pid = (pid_t)strtol(line, &next, 10);

		if (next == line)
			break;
		if (pid > 0 && pid != getpid() && pid != not )
			return pid;
		next += strspn(next, "\n");
	}
	return 0;
}

/* ---- the reader ---- */

static int pidfile_write(const Inside *inside, pid_t pid, Reason *ret_reason)
{
	char file[NAME_MAX_BYTES + 8], text[16];
	int n = snprintf(text, sizeof(text), "%d\n", (int)pid);

	(void)snprintf(file, sizeof(file), "%s.pid", inside->record.name);
	return folder_put(inside->pids_fd, FOLDER_PIDS, file, text, (size_t)n, 0644, ret_reason);
}

/* The program runs: what is kept of it is made, the record last. What cannot be ends it, as nobody would find it again. */
static int settle(Inside *inside, Log *ret_log, Reason *ret_reason)
{
	char name[NAME_MAX_BYTES + 8];
	int r;

	(void)snprintf(name, sizeof(name), "%s.log", inside->record.name);
	r = log_begin(inside->logs_fd, name, !inside->again, JOB_LOG_MAX, ret_log);
	if (r < 0)
		return reason_set(ret_reason, r, "~/%s/%s: %s%s", FOLDER_LOGS, name, strerror(-r), folder_hint(r));
	r = pidfile_write(inside, inside->program, ret_reason);
	if (r == 0)
		r = job_record_write(&inside->record, ret_reason);
	if (r < 0 && !inside->again)
		(void)unlinkat(inside->logs_fd, name, 0); /* it is empty: what was in it has another name */
	return r;
}

/* The program ended and others go on: they are what the PID file means from then on. */
static void follow_others(const Inside *inside)
{
	pid_t other;
	Reason reason;

	if (!others_first(inside->program))
		return;
	(void)poll(NULL, 0, SETTLE_MSEC);
	other = others_first(inside->program);
	if (other)
		(void)!pidfile_write(inside, other, &reason);
}

/* Until nobody holds the output any more and the program ended. */
static void copy_output(const Inside *inside, Log *log)
{
	static char bytes[COPY_BYTES];
	struct pollfd fds[] = { { .fd = inside->output_fds[0], .events = POLLIN },
		{ .fd = inside->program_fd, .events = POLLIN } };

	while (fds[0].fd >= 0 || fds[1].fd >= 0) {
		if (poll(fds, ELEMENTSOF(fds), -1) < 0 && errno != EINTR)
			return;
		if (fds[0].fd >= 0 && fds[0].revents) {
			ssize_t n = read(fds[0].fd, bytes, sizeof(bytes));

			if (n > 0)
				log_add(log, bytes, (size_t)n);
			else if (n == 0 || errno != EINTR)
				fds[0].fd = -1;
		}
		if (fds[1].fd >= 0 && fds[1].revents) {
			fds[1].fd = -1;
			follow_others(inside);
		}
	}
}

static void reader_run(Inside *inside)
{
	static const int ignored[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2 };
	Log log = { .fd = -EBADF };
	Reason reason;
	int error;

	/* it ends with the output, whoever else is told to */
	for (size_t i = 0; i < ELEMENTSOF(ignored); i++)
		(void)signal(ignored[i], SIG_IGN);
	inside->output_fds[1] = fd_close(inside->output_fds[1]);
	inside->told_fds[1] = fd_close(inside->told_fds[1]);
	if (read(inside->told_fds[0], &error, sizeof(error)) != 0)
		return;
	if (settle(inside, &log, &reason) < 0) {
		(void)pidfd_send_signal(inside->program_fd, SIGKILL, NULL, 0);
		(void)fail(EXIT_FAILURE, reason.text);
	} else {
		(void)sd_notify(0, "STATUS=runs");
		copy_output(inside, &log);
	}
	log_end(&log);
}

/* ---- the program ---- */

static int program_run(Inside *inside, const char *path, char **argv)
{
	char text[512];
	int error;

	if (dup2(inside->output_fds[1], STDOUT_FILENO) < 0)
		return fail(EXIT_NOT_EXECUTABLE, strerror(errno));
	(void)unsetenv("JOURNAL_STREAM");
	(void)snprintf(text, sizeof(text), "%s", getenv("NOTIFY_SOCKET") ? getenv("NOTIFY_SOCKET") : "");
	(void)unsetenv("NOTIFY_SOCKET");
	(void)fflush(NULL);
	error = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
	if (error < 0 || dup2(inside->output_fds[1], STDERR_FILENO) < 0)
		return EXIT_NOT_EXECUTABLE;
	(void)execv(path, argv);

	(void)dup2(error, STDERR_FILENO);
	error = errno;
	(void)setenv("NOTIFY_SOCKET", text, 1);
	(void)snprintf(text, sizeof(text), "%.400s cannot be executed: %s", path,
		error == ENOENT ? "the interpreter that its first line names is not there" : strerror(error));
	(void)fail(EXIT_NOT_FOUND, text);
	(void)!write(inside->told_fds[1], &error, sizeof(error));
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

/* Of the same start: systemd runs it again. */
static int record_take(Inside *inside, const char *name, const char *id, Reason *ret_reason)
{
	_cleanup_job_record_ JobRecord old = { 0 };
	JobRecord *record = &inside->record;

	(void)snprintf(record->name, sizeof(record->name), "%s", name);
	(void)snprintf(record->id, sizeof(record->id), "%s", id);
	record->started_usec = now_realtime();
	record->exit_code = -1;
	record->memory_peak = record->cpu_usec = UINT64_MAX;
	record->pid = getpid();
	if (job_record_read(name, &old, ret_reason) == 0 && strcmp(old.id, id) == 0) {
		inside->again = true;
		record->started_usec = old.started_usec;
		record->restarts = old.restarts + 1;
		record->memory_peak = old.memory_peak;
		record->cpu_usec = old.cpu_usec;
	}
	record->directory = getcwd(NULL, 0);
	return record->directory ? 0 : reason_set(ret_reason, -errno, "the folder: %s", strerror(errno));
}

static int prepare(Inside *inside, Reason *ret_reason)
{
	inside->logs_fd = folder_open(FOLDER_LOGS, true, ret_reason);
	if (inside->logs_fd < 0)
		return inside->logs_fd;
	inside->pids_fd = folder_open(FOLDER_PIDS, true, ret_reason);
	if (inside->pids_fd < 0)
		return inside->pids_fd;
	if (pipe2(inside->output_fds, O_CLOEXEC) < 0 || pipe2(inside->told_fds, O_CLOEXEC) < 0)
		return reason_set(ret_reason, -errno, "pipe: %s", strerror(errno));
	(void)fcntl(inside->output_fds[0], F_SETPIPE_SZ, PIPE_BYTES);
	return 0;
}

int job_inside_main(int argc, char **argv)
{
	const char *timeout = NULL, *items[2];
	Inside inside = { .logs_fd = -EBADF, .pids_fd = -EBADF };
	const Option options[] = { { "--restart", .flag = &inside.record.restart }, { "--timeout", .value = &timeout },
		{ NULL } };
	Words words = { items, .max = ELEMENTSOF(items) };
	Reason reason;
	pid_t reader;

	/* PATH, and then argv of the program */
	if (options_read(argc, argv, options, &words, &reason) < 0 || words.n != 2 || words.command_n < 2)
		return job_usage("this is for the unit of a job");
	inside.record.timeout_usec = UINT64_MAX;
	if (timeout && str_to_u64(timeout, UINT64_MAX, &inside.record.timeout_usec) < 0)
		return job_usage("--timeout");
	for (int i = 0; i < words.command_n; i++)
		job_word_decode(words.command[i]);
	for (int i = 1; i < words.command_n; i++)
		if (strlist_add(&inside.record.command, words.command[i]) < 0)
			return fail(EXIT_FAILURE, strerror(ENOMEM));
	if (jobs_name_check(items[0], &reason) < 0 || record_take(&inside, items[0], items[1], &reason) < 0 ||
		prepare(&inside, &reason) < 0)
		return fail(EXIT_FAILURE, reason.text);
	inside.program = getpid();
	inside.program_fd = pidfd_open(inside.program, 0); /* here: it may have ended before the reader looks */
	reader = inside.program_fd < 0 ? -1 : fork();
	if (reader < 0)
		return fail(EXIT_FAILURE, strerror(errno));
	if (reader == 0) {
		reader_run(&inside);
		_exit(EXIT_SUCCESS);
	}
	return program_run(&inside, words.command[0], words.command + 1);
}

/* ---- at the end ---- */

static void take_usage(JobRecord *record)
{
	_cleanup_close_ int fd = cgroup_open();
	char text[512], *line;
	uint64_t number;

	if (fd < 0)
		return;
	if (file_get_at(fd, "memory.peak", text, sizeof(text)) >= 0 && str_to_u64(text, UINT64_MAX, &number) == 0 &&
		(record->memory_peak == UINT64_MAX || number > record->memory_peak))
		record->memory_peak = number;
	if (file_get_at(fd, "cpu.stat", text, sizeof(text)) >= 0 && (line = strstr(text, "usage_usec "))) {
		number = strtoull(line + strlen("usage_usec "), NULL, 10);
		record->cpu_usec = record->cpu_usec == UINT64_MAX ? number : record->cpu_usec + number;
	}
}

static int signal_of(const char *name)
{
	for (int i = 1; i < NSIG; i++) {
		const char *known = sigabbrev_np(i);

		if (known && strcmp(known, name) == 0)
			return i;
	}
	return SIGKILL;
}

/* systemd.exec(5), "Environment variables set or propagated by the service manager". */
static void take_end(JobRecord *record)
{
	const char *result = getenv("SERVICE_RESULT"), *code = getenv("EXIT_CODE"), *status = getenv("EXIT_STATUS");
	uint64_t number;

	(void)snprintf(record->result, sizeof(record->result), "%s", result ? result : "");
	record->exit_code = -1;
	record->signal = 0;
	if (code && status && strcmp(code, "exited") == 0 && str_to_u64(status, 255, &number) == 0)
		record->exit_code = (int)number;
	else if (code && status && strcmp(code, "exited") != 0)
		record->signal = signal_of(status);
	record->ended_usec = now_realtime();
}

int job_ended_main(int argc, char **argv)
{
	_cleanup_job_record_ JobRecord record = { 0 };
	Reason reason;
	int r;

	if (argc != 2 || jobs_name_check(argv[0], &reason) < 0)
		return job_usage("this is for the unit of a job");
	r = job_record_read(argv[0], &record, &reason);
	pidfile_remove(argv[0]);
	/* it never ran: what is there is of the one before */
	if (r == -ENOENT || (r == 0 && strcmp(record.id, argv[1]) != 0))
		return EXIT_SUCCESS;
	if (r == 0) {
		take_end(&record);
		take_usage(&record);
		r = job_record_write(&record, &reason);
	}
	if (r < 0) {
		reason_tell("job", argv[0], reason.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

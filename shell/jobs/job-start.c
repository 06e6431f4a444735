/* SPDX-License-Identifier: MIT */
/*
 * creel job start. What can be wrong with the command is looked for here, where the words for it are; what is left shows when the
 * unit executes it (job-inside.c), and is waited for.
 */
#include "shell/base/job-words.h"
#include "shell/base/utf8.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/job.h"
#include "shell/jobs/job-show.h"
#include "shell/jobs/options.h"
#include "shell/jobs/pidfile.h"
#include "shell/jobs/program.h"
#include "shell/jobs/span.h"

#include <ctype.h>
#include <string.h>
#include <sys/stat.h>

#define START_USEC (90 * USEC_PER_SEC)
#define STOP_USEC (10 * USEC_PER_SEC) /* between SIGTERM and SIGKILL */
#define RESTART_USEC \
	(5 * USEC_PER_SEC) /* between an end and the next beginning; systemd's limit of starts is never met */

extern char **environ;

typedef struct Start {
	const char *name, *timeout_text;
	bool restart, json;
	uint64_t timeout_usec;
	StrList env; /* asked for; then all of it */
	char **command;
	int command_n;
	char *path, *directory, *self;
	char id[JOB_ID_SIZE];
} Start;

static void start_done(Start *start)
{
	strlist_done(&start->env);
	free(start->path);
	free(start->directory);
	free(start->self);
}

/* ---- environment: the caller's, but for what is of the session that it ends with ---- */

/* As systemd takes it: a name, and text without control characters. */
static bool assignment_valid(const char *assignment)
{
	const char *equals = strchr(assignment, '=');
	size_t n = strlen(assignment), length;

	if (!equals || equals == assignment || isdigit((unsigned char)assignment[0]))
		return false;
	for (const char *c = assignment; c < equals; c++)
		if (!isalnum((unsigned char)*c) && *c != '_')
			return false;
	for (size_t i = 0; i < n; i += length) {
		unsigned char c = (unsigned char)assignment[i];

		length = utf8_length(assignment + i, n - i);
		if (!length || c == 0x7f || (c < 0x20 && c != '\t' && c != '\n'))
			return false;
	}
	return true;
}

static bool of_session(const char *assignment)
{
	static const char *const names[] = { "SSH_",
		"CREEL_SESSION=", "TERM=", "COLUMNS=", "LINES=", "STY=", "WINDOW=", "TMUX",
		"SHLVL=", "_=", "OLDPWD=", "NOTIFY_SOCKET=", "LISTEN_", "WATCHDOG_",
		"INVOCATION_ID=", "JOURNAL_STREAM=", "MANAGERPID=", "SYSTEMD_EXEC_PID=" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strncmp(assignment, names[i], strlen(names[i])) == 0)
			return true;
	return false;
}

static bool asked_for(const StrList *asked, size_t n, const char *assignment)
{
	size_t name = strcspn(assignment, "=") + 1;

	for (size_t i = 0; i < n; i++)
		if (strncmp(asked->items[i], assignment, name) == 0)
			return true;
	return false;
}

static int environment_take(Start *start, Reason *ret_reason)
{
	size_t asked = start->env.n;

	for (size_t i = 0; i < asked; i++)
		if (!assignment_valid(start->env.items[i]))
			return reason_set(ret_reason, -EINVAL,
				"--env %.100s: NAME=VALUE is needed, with a value of UTF-8 without control characters",
				start->env.items[i]);
	for (char **one = environ; *one; one++)
		if (assignment_valid(*one) && !of_session(*one) && !asked_for(&start->env, asked, *one) &&
			strlist_add(&start->env, *one) < 0)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	return 0;
}

/* ---- the unit ---- */

static int append_command(sd_bus_message *message, const char *property, char *const *argv)
{
	int r;

	r = sd_bus_message_open_container(message, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", property);
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "a(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'a', "(sasb)");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'r', "sasb");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", argv[0]);
	if (r >= 0)
		r = sd_bus_message_append_strv(message, (char **)(uintptr_t)argv);
	if (r >= 0)
		r = sd_bus_message_append(message, "b", false);
	for (int i = 0; i < 4 && r >= 0; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

static int append_environment(sd_bus_message *message, const StrList *list)
{
	int r;

	r = sd_bus_message_open_container(message, 'r', "sv");
	if (r >= 0)
		r = sd_bus_message_append(message, "s", "Environment");
	if (r >= 0)
		r = sd_bus_message_open_container(message, 'v', "as");
	if (r >= 0)
		r = sd_bus_message_append_strv(message, list->items);
	for (int i = 0; i < 2 && r >= 0; i++)
		r = sd_bus_message_close_container(message);
	return r;
}

static int append_commands(sd_bus_message *message, const Start *start)
{
	_cleanup_free_ char **argv = calloc((size_t)start->command_n + 12, sizeof(*argv)); /* borrows */
	char *ended[] = { start->self, (char *)"job", (char *)"ended", (char *)(uintptr_t)start->name,
		(char *)(uintptr_t)start->id, NULL };
	_cleanup_strlist_ StrList words = { 0 };
	char timeout[24];
	int n = 0, r;

	if (!argv)
		return -ENOMEM;
	r = strlist_push(&words, job_word_encode(start->path));
	for (int i = 0; i < start->command_n && r == 0; i++)
		r = strlist_push(&words, job_word_encode(start->command[i]));
	if (r < 0)
		return r;
	argv[n++] = start->self;
	argv[n++] = (char *)"job";
	argv[n++] = (char *)"inside";
	if (start->restart)
		argv[n++] = (char *)"--restart";
	if (start->timeout_usec != UINT64_MAX) {
		(void)snprintf(timeout, sizeof(timeout), "%llu", (unsigned long long)start->timeout_usec);
		argv[n++] = (char *)"--timeout";
		argv[n++] = timeout;
	}
	argv[n++] = (char *)(uintptr_t)start->name;
	argv[n++] = (char *)(uintptr_t)start->id;
	argv[n++] = (char *)"--";
	for (size_t i = 0; i < words.n; i++)
		argv[n++] = words.items[i];
	r = append_command(message, "ExecStart", argv);
	return r < 0 ? r : append_command(message, "ExecStopPost", ended);
}

static int append_properties(sd_bus_message *message, void *userdata)
{
	const Start *start = userdata;
	_cleanup_free_ char *description = str_format("creel job %s", start->name);
	mode_t mask = umask(0);
	int r;

	(void)umask(mask);
	if (!description)
		return -ENOMEM;
	/* the unit goes when the job ended; what is kept is in its file */
	r = sd_bus_message_append(message, "(sv)(sv)(sv)(sv)", "Description", "s", description, "CollectMode", "s",
		"inactive-or-failed", "Type", "s", "exec", "NotifyAccess", "s", "all");
	/* it lives as long as any of its processes, also when its program went into the background */
	if (r >= 0)
		r = sd_bus_message_append(message, "(sv)(sv)(sv)", "ExitType", "s", "cgroup", "TimeoutStopUSec", "t",
			STOP_USEC, "WorkingDirectory", "s", start->directory);
	/* as in a shell: a pipeline's writer ends with its reader, files get the modes that they would have got there */
	if (r >= 0)
		r = sd_bus_message_append(
			message, "(sv)(sv)", "IgnoreSIGPIPE", "b", false, "UMask", "u", (uint32_t)mask);
	if (r >= 0 && start->restart)
		r = sd_bus_message_append(
			message, "(sv)(sv)", "Restart", "s", "on-failure", "RestartUSec", "t", RESTART_USEC);
	if (r >= 0 && start->timeout_usec != UINT64_MAX)
		r = sd_bus_message_append(message, "(sv)", "RuntimeMaxUSec", "t", start->timeout_usec);
	if (r >= 0)
		r = append_environment(message, &start->env);
	return r < 0 ? r : append_commands(message, start);
}

/* ---- starting ---- */

static int refuse_living(Manager *manager, const Start *start, Reason *ret_reason)
{
	_cleanup_job_ Job job = { 0 };
	_cleanup_close_ int folder_fd = -EBADF;
	char file[NAME_MAX_BYTES + 8], living[128];
	Reason ignored;
	pid_t pid;

	if (job_find(manager, start->name, &job, &ignored) == 0 && !job_state_over(job.state)) {
		if (job.unit.main_pid)
			(void)snprintf(living, sizeof(living), "PID %d", (int)job.unit.main_pid);
		return reason_set(ret_reason, -EEXIST,
			"there is a job of that name (%s); `creel job stop %s` ends it, or take another name",
			job.unit.main_pid ? living : job_words(&job, living, sizeof(living)), start->name);
	}
	folder_fd = folder_open(FOLDER_PIDS, false, &ignored);
	(void)snprintf(file, sizeof(file), "%s.pid", start->name);
	if (folder_fd >= 0 && pidfile_look(folder_fd, file, &pid) == PIDFILE_ALIVE)
		return reason_set(ret_reason, -EEXIST,
			"~/%s/%s belongs to process %d, which lives and is no job; `kill %d` ends it, or take another "
			"name",
			FOLDER_PIDS, file, (int)pid, (int)pid);
	return 0;
}

/* The unit has been started, which is no more than `inside`: until its program runs, or it is known why not. */
static int wait_running(Manager *manager, const Start *start, Reason *ret_reason)
{
	uint64_t end = now_monotonic() + START_USEC;
	char name[MANAGER_UNIT_MAX];

	for (;;) {
		_cleanup_unit_ Unit unit = { 0 };
		_cleanup_job_record_ JobRecord record = { 0 };
		uint64_t now = now_monotonic();
		bool lives;
		Reason ignored;
		int r;

		lives = manager_unit(manager, job_unit_name(start->name, name, sizeof(name)), &unit, &ignored) == 0 &&
			unit_lives(&unit) && strcmp(unit.sub, "auto-restart") != 0;
		if (job_record_read(start->name, &record, &ignored) == 0 && strcmp(record.id, start->id) == 0)
			return 0;
		r = !lives || now >= end ? 0 : manager_wait(manager, end - now, ret_reason);
		if (r < 0)
			return r;
		if (r == 0)
			return reason_set(ret_reason, -EREMOTEIO, "%s",
				*manager_status(manager) ? manager_status(manager)
							 : "it could not be started; `journalctl --user` may say why");
	}
}

static int start_job(Manager *manager, Start *start, Reason *ret_reason)
{
	char unit[MANAGER_UNIT_MAX];
	int r;

	r = refuse_living(manager, start, ret_reason);
	if (r < 0)
		return r;
	(void)snprintf(start->id, sizeof(start->id), "%llu", (unsigned long long)now_realtime());
	(void)job_unit_name(start->name, unit, sizeof(unit));
	r = manager_start_transient(manager, unit, append_properties, start, START_USEC, ret_reason);
	if (r == -EEXIST)
		return reason_set(ret_reason, r, "a job of that name is being started or ended just now; try again");
	if (r < 0 && r != -EREMOTEIO)
		return r;
	r = wait_running(manager, start, ret_reason);
	if (r < 0 && start->restart) {
		Reason ignored;

		/* it would be tried again for ever */
		(void)!manager_change(manager, "StopUnit", unit, START_USEC, &ignored);
	}
	return r;
}

static int show_start(Manager *manager, const Start *start)
{
	_cleanup_job_ Job job = { 0 };
	Reason reason;
	char words[128];

	if (job_find(manager, start->name, &job, &reason) < 0) {
		reason_tell("job", start->name, reason.text);
		return EXIT_FAILURE;
	}
	if (start->json) {
		job_show_json(stdout, &job);
		(void)fputc('\n', stdout);
	} else {
		(void)printf("%s: %s, PID %d\n", start->name,
			job_state_over(job.state) ? job_words(&job, words, sizeof(words)) : "started",
			(int)job.record.pid);
		(void)printf("log:  ~/%s/%s.log (creel job logs -f %s)\nstop: creel job stop %s\n", FOLDER_LOGS,
			start->name, start->name, start->name);
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int take_words(int argc, char **argv, Start *start, Reason *ret_reason)
{
	const Option options[] = { { "--restart", .flag = &start->restart }, { "--json", .flag = &start->json },
		{ "--timeout", .value = &start->timeout_text }, { "--env", "-e", .list = &start->env }, { NULL } };
	Words words = { &start->name, .max = 1 };

	if (options_read(argc, argv, options, &words, ret_reason) < 0)
		return -EINVAL;
	if (!words.n)
		return reason_set(ret_reason, -EINVAL, "a name is needed");
	if (!words.command_n)
		return reason_set(ret_reason, -EINVAL, "a command is needed, behind `--`");
	if (jobs_name_check(start->name, ret_reason) < 0)
		return -EINVAL;
	start->timeout_usec = UINT64_MAX;
	if (start->timeout_text && (span_parse(start->timeout_text, &start->timeout_usec) < 0 || !start->timeout_usec))
		return reason_set(ret_reason, -EINVAL,
			"--timeout %.40s: a span of time is needed, as 90s, 10m or 1h30m", start->timeout_text);
	start->command = words.command;
	start->command_n = words.command_n;
	return environment_take(start, ret_reason);
}

int job_start_main(int argc, char **argv)
{
	_cleanup_(start_done) Start start = { 0 };
	_cleanup_(manager_freep) Manager *manager = NULL;
	Reason reason;

	if (take_words(argc, argv, &start, &reason) < 0)
		return job_usage(reason.text);
	start.directory = getcwd(NULL, 0);
	if (!start.directory) {
		(void)reason_set(
			&reason, -errno, "the folder that this is called in: %s; cd elsewhere", strerror(errno));
	} else if (program_find(start.command[0], &start.path, &reason) == 0 &&
		   program_self(&start.self, &reason) == 0 && manager_connect(&manager, &reason) == 0 &&
		   start_job(manager, &start, &reason) == 0) {
		return show_start(manager, &start);
	}
	reason_tell("job", start.name, reason.text);
	return EXIT_FAILURE;
}

/* SPDX-License-Identifier: MIT */
/*
 * A run with an interpreter of its own, from birth to the last process of its leaf.
 *
 * Its process ends by itself or is killed; either way what is left in the leaf is killed with it, and the run is over when the
 * leaf is empty: then nothing can write to its pipes any more but who was handed them by somebody in the leaf, and for such a
 * one nobody waits.
 */
#include "shell/keeper/run.h"
#include "shell/keeper/spare.h"
#include "shell/keeper/surroundings.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"
#include "shell/run/language.h"
#include "shell/session/environment.h"

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/wait.h>

#define PIPE_BYTES (256 * 1024)

/* ---- its birth ---- */

int run_open_pipes(const Identity *identity, int ret_inside[static 2], int ret_outside[static 2])
{
	int inside[2] = { -EBADF, -EBADF }, outside[2] = { -EBADF, -EBADF };
	int r;

	/* the agent owns its pipes, so that /dev/stdout can be opened again by it */
	r = identity_borrow(identity);
	if (r < 0)
		return r;
	for (int i = 0; i < 2 && !r; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0) {
			r = -errno;
			break;
		}
		outside[i] = ends[0];
		inside[i] = ends[1];
		/* our end alone: the flag is the description's, and each end has one */
		if (fcntl(outside[i], F_SETFL, O_NONBLOCK) < 0)
			r = -errno;
		/* fewer turns for what writes much; a refusal is no failure */
		(void)fcntl(outside[i], F_SETPIPE_SZ, PIPE_BYTES);
	}
	identity_give_back();
	if (r < 0) {
		for (int i = 0; i < 2; i++) {
			fd_close(inside[i]);
			fd_close(outside[i]);
		}
		return r;
	}
	memcpy(ret_inside, inside, sizeof(inside));
	memcpy(ret_outside, outside, sizeof(outside));
	return 0;
}

int run_environment(const Keeper *keeper, const Run *run, StrList *ret)
{
	_cleanup_strlist_ StrList list = { 0 };
	const EnvironmentRequest wanted = {
		.shell = keeper->policy->shell,
		.accepted = &keeper->policy->environment,
		.policy = keeper->policy,
	};
	int r;

	r = environment_build(keeper->identity, &wanted, &list);
	/* there is no screen; who wants another backend says so in the code */
	if (!r)
		r = strlist_add(&list, "MPLBACKEND=Agg");
	if (!r && run)
		r = strlist_push(&list, str_format("CREEL_RUN=%llu", (unsigned long long)run->number));
	if (!r && run && run->options.figures)
		r = strlist_push(&list, str_format("CREEL_FIGURES=%s", run->output_directory));
	if (r < 0)
		return r;
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}

static int on_process_end(sd_event_source *source, const siginfo_t *info, void *userdata);

static void drop_leaf(Run *run)
{
	run->leaf_fd = fd_close(run->leaf_fd);
	if (leaf_remove(run->keeper->leaves_fd, run->name) < 0)
		log_error("cannot remove the leaf %s", run->name);
}

/* Whole: a run that lost one process to the memory limit is nothing that anybody could use. */
static int make_leaf(Run *run)
{
	const LeafLimits limits = setting_limits(&run->options);
	int r;

	(void)snprintf(run->name, sizeof(run->name), "run-%llu", (unsigned long long)run->number);
	r = leaf_make(run->keeper->leaves_fd, run->name, &limits, false, &run->leaf_fd);
	if (r < 0)
		return r;
	r = file_put_at(run->leaf_fd, "memory.oom.group", "1");
	/* without that controller there is no limit either that it could be about; one that was asked for failed above */
	if (r < 0 && r != -ENOENT) {
		drop_leaf(run);
		return r;
	}
	return 0;
}

int run_birth(Run *run, const RunBirth *what, PolicyError *ret_reason)
{
	_cleanup_(setting_done) Setting setting = SETTING_NONE;
	_cleanup_strlist_ StrList environment = { 0 };
	BirthRequest order = {
		.program = what->arguments[0],
		.arguments = what->arguments,
		.input_fd = what->input_fd,
		.output_fd = what->output_fd,
		.error_fd = what->error_fd,
		.third_fd = what->passed_fd,
	};
	int r;

	r = run_environment(run->keeper, run, &environment);
	if (!r)
		r = make_leaf(run);
	if (r < 0)
		return r;
	order.environment = environment.items;
	r = setting_prepare(run->keeper, &run->options, run->leaf_fd, &order, &setting, ret_reason);
	if (!r)
		r = birth(&order, &run->pid, &run->pid_fd);
	run->report_fd = TAKE_FD(setting.read_fd);
	if (r < 0)
		drop_leaf(run);
	return r;
}

static int open_input(Run *run)
{
	if (run->options.input_fd >= 0)
		return 0;
	run->options.input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return run->options.input_fd < 0 ? -errno : 0;
}

static int give_birth(Run *run, PolicyError *ret_reason)
{
	_cleanup_strlist_ StrList arguments = { 0 };
	int inside[2] = { -EBADF, -EBADF }, outside[2] = { -EBADF, -EBADF };
	Keeper *keeper = run->keeper;
	int r;

	r = language_command(
		keeper->policy, run->options.language, run->options.label, run->options.arguments, &arguments);
	if (!r)
		r = open_input(run);
	if (!r)
		r = run_open_pipes(keeper->identity, inside, outside);
	if (r < 0)
		return r;
	run->output_fd = outside[0];
	run->error_fd = outside[1];
	r = run_birth(run,
		&(RunBirth){
			.arguments = arguments.items,
			.input_fd = run->options.input_fd,
			.output_fd = inside[0],
			.error_fd = inside[1],
			.passed_fd = run->code_fd,
		},
		ret_reason);
	fd_close(inside[0]);
	fd_close(inside[1]);
	/* the other end of a pipe is to see when the run's program closes it */
	run->options.input_fd = fd_close(run->options.input_fd);
	return r;
}

/* Unwatched it may not live. */
static void abort_birth(Run *run)
{
	siginfo_t info;

	if (leaf_kill(run->leaf_fd) < 0)
		log_error("cannot end %s", run->name);
	else
		(void)waitid(P_PIDFD, (id_t)run->pid_fd, &info, WEXITED);
}

static void kill_leaf(Run *run)
{
	int r = leaf_kill(run->leaf_fd);

	if (r < 0)
		log_error("cannot end %s: %s", run->name, strerror(-r));
}

static int watch(Run *run)
{
	sd_event *event = run->keeper->event;
	int r;

	r = stream_attach(&run->output, event, run->output_fd);
	if (!r)
		r = stream_attach(&run->error, event, run->error_fd);
	if (!r)
		r = sd_event_add_child_pidfd(event, &run->exit_source, run->pid_fd, WEXITED, on_process_end, run);
	return r < 0 ? r : run_begun(run);
}

static int start_failed(int r, const PolicyError *reason, sd_bus_error *ret_error)
{
	if (*reason->text)
		return sd_bus_error_set(ret_error, KEEPER_ERROR_POLICY, reason->text);
	if (r == -EAGAIN)
		return sd_bus_error_set(ret_error, KEEPER_ERROR_FULL, "the agent's limit of processes is reached");
	return sd_bus_error_setf(ret_error, KEEPER_ERROR_FAILED, "cannot start a process: %s", strerror(-r));
}

int run_start(Run *run, sd_bus_error *ret_error)
{
	PolicyError reason = { "" };
	ProcessUsage usage;
	int r;

	run_number(run);
	outputs_begin(run);
	run->stop = kill_leaf;
	if (process_usage_read("", run->keeper->uid, &usage) < 0)
		usage = (ProcessUsage){ .limit = UINT64_MAX };
	run->processes_refused = usage.refused;
	if (!spare_take(run)) {
		if (usage.count >= usage.limit)
			return start_failed(-EAGAIN, &reason, ret_error);
		r = give_birth(run, &reason);
		if (r < 0)
			return start_failed(r, &reason, ret_error);
	}
	r = watch(run);
	if (r < 0) {
		abort_birth(run);
		drop_leaf(run);
		return start_failed(r, &reason, ret_error);
	}
	return 0;
}

/* ---- while it runs ---- */

void run_number(Run *run)
{
	Keeper *keeper = run->keeper;

	/* no keeper of this agent gives a number twice, but where the clock was put back by more than it ran */
	if (!keeper->run_number)
		keeper->run_number = clock_realtime_usec();
	run->number = ++keeper->run_number;
	run_name_files(run);
}

static int on_timeout(sd_event_source *source, uint64_t usec, void *userdata)
{
	run_stop(userdata, RUN_TIMEOUT);
	return 0;
}

int run_begun(Run *run)
{
	Keeper *keeper = run->keeper;
	int r;

	run->started_usec = clock_realtime_usec();
	run->begun_usec = clock_monotonic_usec();
	/* not relative: to the event loop now is when it woke up */
	r = sd_event_add_time(keeper->event, &run->timer, CLOCK_MONOTONIC, run->begun_usec + run->options.timeout_usec,
		1000, on_timeout, run);
	if (r < 0)
		return r;
	run->next = keeper->runs;
	keeper->runs = run;
	keeper_record_run_start(run);
	return 0;
}

unsigned int runs_count(const Keeper *keeper)
{
	unsigned int n = 0;

	for (const Run *run = keeper->runs; run; run = run->next)
		n++;
	return n;
}

Run *run_find(Keeper *keeper, uint64_t number)
{
	for (Run *run = keeper->runs; run; run = run->next)
		if (run->number == number)
			return run;
	return NULL;
}

void run_stop(Run *run, RunReason reason)
{
	if (run->reason == RUN_REASONS_N)
		run->reason = reason;
	run->timer = sd_event_source_disable_unref(run->timer);
	run->stop(run);
}

static Run *find_of_peer(const Keeper *keeper, const Peer *peer)
{
	for (Run *run = keeper->runs; run; run = run->next)
		if (run->peer == peer)
			return run;
	return NULL;
}

void runs_peer_gone(Keeper *keeper, const Peer *peer)
{
	Run *run;

	budget_forget(&keeper->budget, peer);
	/* from the start each time: the end of one call of a REPL may be the end of others */
	while ((run = find_of_peer(keeper, peer))) {
		run->peer = NULL;
		run_stop(run, RUN_CANCELLED);
	}
}

/* ---- its end ---- */

/* What its imports used before it was known is not its own, but for their memory, which it has. */
static void read_usage(Run *run)
{
	leaf_usage(run->leaf_fd, &run->usage);
	run->usage.cpu_usec -= run->before.cpu_usec;
	run->usage.tasks_refused -= run->before.tasks_refused;
}

static void leaf_is_empty(Run *run)
{
	run->empty_source = sd_event_source_disable_unref(run->empty_source);
	read_usage(run);
	drop_leaf(run);
	run_over(run);
}

static int on_events_changed(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	Run *run = userdata;
	bool populated;

	if (leaf_populated(run->leaf_fd, &populated) == 0 && !populated)
		leaf_is_empty(run);
	return 0;
}

static void wait_empty(Run *run)
{
	bool populated = false;
	char path[64];
	int r;

	if (leaf_populated(run->leaf_fd, &populated) < 0 || !populated) {
		leaf_is_empty(run);
		return;
	}
	kill_leaf(run);
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/cgroup.events", run->leaf_fd);
	r = sd_event_add_inotify(run->keeper->event, &run->empty_source, path, IN_MODIFY, on_events_changed, run);
	if (r < 0)
		log_error("cannot watch the leaf %s: %s", run->name, strerror(-r));
	/* it may have emptied before the watch was there; unwatched, nothing would say so later */
	if (r < 0 || (leaf_populated(run->leaf_fd, &populated) == 0 && !populated))
		leaf_is_empty(run);
}

/* It gave up before there was a program, and said why on its stderr. */
static void never_began(Run *run, int status)
{
	char quoted[256];

	if (run->reason != RUN_REASONS_N)
		return;
	run->reason = RUN_REFUSED;
	if (status == BIRTH_EXIT_DIRECTORY)
		(void)snprintf(run->sentence, sizeof(run->sentence),
			"Error: directory: \"%s\" is not there in an independent run",
			str_quote(run->options.directory, strlen(run->options.directory), quoted, sizeof(quoted)));
	else
		(void)snprintf(run->sentence, sizeof(run->sentence),
			"Error: an independent run could not begin: its stderr says why");
}

static int on_process_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	siginfo_t ending = *info;
	Run *run = userdata;

	if (!birth_ending(run->report_fd, info, &ending.si_code, &ending.si_status, &run->scratch_full))
		never_began(run, info->si_status);
	run->ended = true;
	run->exit_source = sd_event_source_disable_unref(run->exit_source);
	run->timer = sd_event_source_disable_unref(run->timer);
	read_usage(run);
	/* too much output may still be in the pipes, and is a reason */
	(void)stream_drain(&run->output);
	(void)stream_drain(&run->error);
	run_explain(run, &ending);
	wait_empty(run);
	return 0;
}

void run_over(Run *run)
{
	run->timer = sd_event_source_disable_unref(run->timer);
	(void)stream_drain(&run->output);
	(void)stream_drain(&run->error);
	stream_detach(&run->output);
	stream_detach(&run->error);
	run->over_usec = clock_monotonic_usec();
	outputs_collect(run);
}

void runs_done(Keeper *keeper)
{
	while (keeper->runs) {
		Run *run = keeper->runs;

		keeper->runs = run->next;
		if (run->leaf_fd >= 0)
			kill_leaf(run);
		run_free(run);
	}
	budget_forget(&keeper->budget, NULL);
}

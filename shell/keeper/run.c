/* SPDX-License-Identifier: MIT */
/*
 * A run with an interpreter of its own, from birth to the last process of its leaf.
 *
 * Its process ends by itself or is killed; either way what is left in the leaf is killed with it, and the run is over when the
 * leaf is empty: then nothing can write to its pipes any more but who was handed them by somebody in the leaf, and for such a
 * one nobody waits.
 */
#include "shell/keeper/run.h"
#include "shell/keeper/room.h"
#include "shell/keeper/spare.h"
#include "shell/keeper/surroundings.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"
#include "shell/run/language.h"
#include "shell/session/environment.h"

#include <fcntl.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define PIPE_BYTES (256 * 1024)
#define ROOM_LEAST (UINT64_C(8) << 20) /* of the keeper's memory, for all else */

/* ---- making and freeing ---- */

static void free_options(RunOptions *options)
{
	free((char *)options->language);
	free((char *)options->label);
	free((char *)options->network);
	free((char *)options->session);
	free((char *)options->directory);
	for (char **argument = options->arguments; argument && *argument; argument++)
		free(*argument);
	free(options->arguments);
	fd_close(options->input_fd);
}

Run *run_free(Run *run)
{
	if (!run)
		return NULL;
	sd_event_source_disable_unref(run->timer);
	sd_event_source_disable_unref(run->exit_source);
	sd_event_source_disable_unref(run->empty_source);
	outputs_abandon(run);
	stream_done(&run->output);
	stream_done(&run->error);
	free_options(&run->options);
	for (size_t i = 0; i < run->n_files; i++) {
		free((char *)run->files[i].name);
		free((char *)run->files[i].sha256);
	}
	free(run->files);
	free(run->output_directory);
	fd_close(run->code_fd);
	fd_close(run->leaf_fd);
	fd_close(run->pid_fd);
	fd_close(run->output_fd);
	fd_close(run->error_fd);
	fd_close(run->report_fd);
	budget_release(&run->keeper->budget, run->reserved);
	free(run);
	return NULL;
}

/* A description of its own, so that nobody else moves its offset. It must not change any more, nor be anything but memory. */
static int take_code(Run *run, int code_fd)
{
	const int needed = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	int seals = fcntl(code_fd, F_GET_SEALS);
	char path[32];
	struct stat st;
	int r;

	if (seals < 0 || (seals & needed) != needed || fstat(code_fd, &st) < 0 || !S_ISREG(st.st_mode))
		return -EINVAL;
	if (st.st_size > (off_t)RUN_CODE_MAX)
		return -EFBIG;
	run->code_bytes = (uint64_t)st.st_size;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", code_fd);
	r = identity_borrow(run->keeper->identity);
	if (r < 0)
		return r;
	/* a lease that the agent has on it is nothing to wait for */
	run->code_fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	r = run->code_fd < 0 ? -errno : 0;
	identity_give_back();
	return r;
}

static int refuse_code(int r, sd_bus_error *ret_error)
{
	if (r == -EFBIG)
		return sd_bus_error_setf(
			ret_error, SD_BUS_ERROR_INVALID_ARGS, "the code is longer than %uM", RUN_CODE_MAX >> 20);
	return sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS,
		"the code is not in a memfd that is sealed against shrinking, growing and writing");
}

unsigned int runs_count(const Keeper *keeper)
{
	unsigned int n = 0;

	for (const Run *run = keeper->runs; run; run = run->next)
		n++;
	return n;
}

/* What those that go on may still take, with what was just reserved. */
static uint64_t not_taken(const Keeper *keeper)
{
	uint64_t taken = 0;

	for (const Run *run = keeper->runs; run; run = run->next)
		taken += run->output.head_room + run->output.tail_room + run->error.head_room + run->error.tail_room;
	return taken < keeper->budget.reserved ? keeper->budget.reserved - taken : 0;
}

/* The budget counts what the keeper holds; others may hold more of it (room.h). */
static bool has_room(Keeper *keeper)
{
	const uint64_t needed = not_taken(keeper) + ROOM_LEAST;

	if (keeper->own_fd < 0 || room_has(keeper->own_fd, needed))
		return true;
	budget_forget(&keeper->budget, NULL);
	return room_has(keeper->own_fd, needed);
}

static int reserve(Run *run, sd_bus_error *ret_error)
{
	Keeper *keeper = run->keeper;
	uint64_t kept = run->options.output < RUN_KEPT_MAX ? run->options.output : RUN_KEPT_MAX;
	uint64_t all = 2 * kept + (run->options.collect ? RUN_LISTED_BYTES : 0);
	int r = budget_reserve(&keeper->budget, all);

	if (r < 0)
		return sd_bus_error_setf(ret_error, KEEPER_ERROR_FULL,
			"the runs that are going on hold the memory that there is for output (%uM): ask for less "
			"output, or wait for one to end",
			KEEPER_RUNS_BYTES >> 20);
	run->reserved = all;
	if (!has_room(keeper))
		return sd_bus_error_set(ret_error, KEEPER_ERROR_FULL,
			"the keeper's memory is held by who read earlier results: end what has them in pipes, or open");
	if (budget_may_lend(&keeper->budget, 2 * (runs_count(keeper) + 1)) < 0)
		return sd_bus_error_setf(ret_error, KEEPER_ERROR_FULL,
			"results of earlier runs are still open (%u memfds): close them", BUDGET_LENT_MAX);
	stream_init(&run->output, &run_watcher, run, kept, run_output_most(run));
	stream_init(&run->error, &run_watcher, run, kept, run_output_most(run));
	return 0;
}

Run *run_make(Keeper *keeper)
{
	Run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->keeper = keeper;
	run->options = RUN_OPTIONS_OWN_NONE;
	run->code_fd = run->leaf_fd = run->pid_fd = run->output_fd = run->error_fd = run->report_fd = -EBADF;
	run->reason = RUN_REASONS_N;
	run->exit_code = -1;
	stream_init(&run->output, &run_watcher, run, 0, 0);
	stream_init(&run->error, &run_watcher, run, 0, 0);
	return run;
}

int run_new(Keeper *keeper, Peer *peer, const RunOptions *asked, int code_fd, Run **ret, sd_bus_error *ret_error)
{
	_cleanup_(run_freep) Run *run = run_make(keeper);
	int r;

	if (!run)
		return -ENOMEM;
	run->peer = peer;
	if (place_read(peer->pid, keeper->uid, run->caller) < 0)
		run->caller[0] = '\0';

	r = run_judge(run, asked, ret_error);
	if (r < 0)
		return r;
	r = take_code(run, code_fd);
	if (r < 0)
		return refuse_code(r, ret_error);
	if (runs_count(keeper) >= RUNS_MAX)
		return sd_bus_error_setf(
			ret_error, KEEPER_ERROR_FULL, "%u runs are going on: wait for one to end", RUNS_MAX);
	r = reserve(run, ret_error);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(run);
	return 0;
}

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

/* ---- an earlier keeper's, and a later one's ---- */

#define REMOVE_TRIES 2000U /* milliseconds, all leaves together */

static unsigned int end_leaf(Keeper *keeper, const char *name, unsigned int tries)
{
	_cleanup_close_ int leaf_fd = -EBADF;
	_cleanup_free_ char *mark = NULL;
	bool spare = false;
	char run[64];
	int r;

	r = leaf_open(keeper->leaves_fd, name, &leaf_fd);
	if (!r)
		spare = leaf_marked(leaf_fd, RUN_MARK_SPARE, &mark) == 0 && strcmp(mark, "idle") == 0;
	if (!r)
		r = leaf_kill(leaf_fd);
	if (!r)
		while ((r = leaf_remove(keeper->leaves_fd, name)) == -EBUSY && tries) {
			tries--;
			(void)usleep(1000);
		}
	if (r < 0)
		log_error("cannot remove the leaf %s of an earlier keeper: %s", name, strerror(-r));
	/* the collector of a run that is there as well is told with it */
	if (strncmp(name, "outputs-", 8) == 0) {
		(void)snprintf(run, sizeof(run), "run-%s", name + 8);
		if (faccessat(keeper->leaves_fd, run, F_OK, 0) == 0)
			return tries;
		name = run;
	}
	if (!spare)
		keeper_record_run_abandoned(keeper, name);
	return tries;
}

void runs_end_adopted(Keeper *keeper)
{
	/* in this order: what an "outputs" tells depends on the run's own leaf */
	static const char *const kinds[] = { "outputs-", "run-", "repl-" };
	int fd = openat(keeper->leaves_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_closedir_ DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	unsigned int tries = REMOVE_TRIES;
	struct dirent *entry;

	if (!dir) {
		fd_close(fd);
		return;
	}
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		rewinddir(dir);
		while ((entry = readdir(dir)))
			if (entry->d_type == DT_DIR && strncmp(entry->d_name, kinds[i], strlen(kinds[i])) == 0)
				tries = end_leaf(keeper, entry->d_name, tries);
	}
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

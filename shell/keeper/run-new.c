/* SPDX-License-Identifier: MIT */
/* A run before anything of it is there, and after: what is asked for is taken, room for what comes of it reserved; all is freed. */
#include "shell/keeper/run.h"
#include "shell/keeper/room.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define ROOM_LEAST (UINT64_C(8) << 20) /* of the keeper's memory, for all else */

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

/* SPDX-License-Identifier: MIT */
/*
 * What came of a run: its reason, told apart by what the kernel counted and not by what a program printed, and the result.
 *
 * A limit that a program met and lived with is no reason: it ended well. One that it met and ended badly after is: its leaf
 * counts what the memory limit killed and which forks were refused; SIGXFSZ and a full quota are the disk's.
 */
#include "shell/keeper/run.h"
#include "shell/base/log.h"
#include "shell/base/quantity.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#define QUEUED_MAX 16U      /* messages that the caller has not read: it follows slower than the run writes */
#define MESSAGE_BYTES 2048U /* a signal's, beside output and names of files */
#define DISK_LEFT (UINT64_C(64) << 10) /* less than this is a full quota */

/* ---- reasons ---- */

/* The agent's limits bind its runs, too. */
static const char *memory_limit(const Run *run, char *buffer, size_t size)
{
	return str_size(quantity_smaller(run->options.memory, run->agent_memory), buffer, size);
}

static void say_processes(Run *run)
{
	uint64_t limit = run->options.processes;

	/* the run's own, or whichever of the agent's was met: not told apart, so the run's where it has one */
	if (limit == LEAF_UNLIMITED)
		limit = run->agent_processes;
	(void)snprintf(run->sentence, sizeof(run->sentence), "Error: process limit exceeded (%llu)",
		(unsigned long long)limit);
}

static bool met_processes(const Run *run)
{
	ProcessUsage usage;

	if (run->usage.tasks_refused)
		return true;
	return process_usage_read("", run->keeper->uid, &usage) == 0 && usage.refused > run->processes_refused &&
	       usage.count + 1 >= usage.limit;
}

static bool disk_is_full(const Run *run)
{
	DiskUse use;

	if (keeper_disk(run->keeper, &use) < 0)
		return false;
	return (use.bytes_limit != LEAF_UNLIMITED && use.bytes + DISK_LEFT >= use.bytes_limit) ||
	       (use.files_limit != LEAF_UNLIMITED && use.files >= use.files_limit);
}

static RunReason reason_of(const Run *run, const siginfo_t *info)
{
	const bool exited = info->si_code == CLD_EXITED;

	if (exited && info->si_status == 0)
		return RUN_OK;
	if (run->usage.oom_kills)
		return RUN_MEMORY;
	if (!exited && info->si_status == SIGXFSZ)
		return RUN_DISK;
	if (met_processes(run))
		return RUN_PROCESSES;
	if (exited && (run->scratch_full || disk_is_full(run)))
		return RUN_DISK;
	return exited ? RUN_EXIT : RUN_SIGNAL;
}

void run_explain(Run *run, const siginfo_t *info)
{
	if (info->si_code == CLD_EXITED)
		run->exit_code = info->si_status;
	else
		run->signal = info->si_status;
	if (run->reason == RUN_REASONS_N)
		run->reason = reason_of(run, info);
}

static void say(Run *run)
{
	char *text = run->sentence, bytes[32];
	size_t size = sizeof(run->sentence);

	if (*text)
		return;
	switch (run->reason) {
	case RUN_EXIT:
		(void)snprintf(text, size, "Error: exit status %d", run->exit_code);
		break;
	case RUN_SIGNAL:
		(void)snprintf(text, size, "Error: ended by SIG%s",
			sigabbrev_np(run->signal) ? sigabbrev_np(run->signal) : "?");
		break;
	case RUN_TIMEOUT:
		(void)snprintf(text, size, "Error: timeout exceeded");
		break;
	case RUN_MEMORY:
		(void)snprintf(
			text, size, "Error: memory limit exceeded (%s)", memory_limit(run, bytes, sizeof(bytes)));
		break;
	case RUN_PROCESSES:
		say_processes(run);
		break;
	case RUN_OUTPUT:
		(void)snprintf(text, size, "Error: output limit exceeded (%s)",
			str_size(run_output_most(run), bytes, sizeof(bytes)));
		break;
	case RUN_DISK:
		if (run->signal == SIGXFSZ)
			(void)snprintf(text, size, "Error: disk limit exceeded (a file of %s)",
				str_size(run->file_size, bytes, sizeof(bytes)));
		else if (run->scratch_full)
			(void)snprintf(text, size, "Error: disk limit exceeded (%s that an independent run may write)",
				str_size(run->scratch, bytes, sizeof(bytes)));
		else
			(void)snprintf(text, size, "Error: disk limit exceeded");
		break;
	case RUN_CANCELLED:
		(void)snprintf(text, size, "Error: cancelled");
		break;
	case RUN_OK:
	case RUN_REFUSED:
	case RUN_REASONS_N:
		break;
	}
}

/* ---- while it runs ---- */

/* Callers go as they please: that is no line in the log. */
static void complain(const Run *run, const char *what, int r)
{
	if (r != -ENOTCONN && r != -ECONNRESET && r != -EPIPE)
		log_error("the caller of run %llu cannot be told about %s: %s", (unsigned long long)run->number, what,
			strerror(-r));
}

static void on_came(Stream *stream, const void *bytes, size_t n)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	Run *run = stream->owner;
	uint64_t queued;
	int r;

	if (!run->options.follow || !run->peer)
		return;
	/*
	 * Who does not read is not told any more: the result has it, and the run does not wait. Nothing of the rest, so that what
	 * was told is the begin of it, without a hole.
	 */
	if (sd_bus_get_n_queued_write(run->peer->bus, &queued) < 0 || queued >= QUEUED_MAX ||
		(queued && server_unread(run->keeper->server) + n > RUNS_UNREAD_BYTES)) {
		run->options.follow = false;
		return;
	}
	r = sd_bus_message_new_signal(run->peer->bus, &message, KEEPER_OBJECT, KEEPER_INTERFACE, "Output");
	if (r >= 0)
		r = sd_bus_message_append(message, "tu", run->number, stream == &run->output ? 1 : 2);
	if (r >= 0)
		r = sd_bus_message_append_array(message, 'y', bytes, n);
	if (r >= 0)
		r = peer_send(run->peer, message, MESSAGE_BYTES + n);
	if (r < 0)
		complain(run, "output", r);
}

static void on_full(Stream *stream, int error)
{
	Run *run = stream->owner;
	RunReason reason = error == -EFBIG ? RUN_OUTPUT : RUN_DISK;

	if (!run->ended)
		run_stop(run, reason);
	else if (run->reason == RUN_REASONS_N || run->reason == RUN_OK || run->reason == RUN_EXIT)
		/* its process had ended before its last output was read */
		run->reason = reason;
}

const StreamWatcher run_watcher = { .came = on_came, .full = on_full };

/* ---- Finished ---- */

/* For the caller: without the right to write, which the keeper's own has. */
static int open_for_reading(int memory_fd)
{
	char path[32];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", memory_fd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static size_t listed_bytes(const RunResult *result)
{
	size_t sum = 0;

	/* with what a message needs between them */
	for (size_t i = 0; i < result->n_files; i++)
		sum += strlen(result->files[i].name) + strlen(result->files[i].sha256) + 32;
	return sum;
}

/* The rest of a result is small, and is told in any case. */
static void leave_out_files(const Run *run, RunResult *result)
{
	if (server_unread(run->keeper->server) + listed_bytes(result) <= RUNS_UNREAD_BYTES)
		return;
	log_warning("the files of run %llu are left out: callers do not read what they are told",
		(unsigned long long)run->number);
	result->n_files = 0;
	result->files_left_out = UINT64_MAX;
}

static int send_finished(const Run *run, const RunResult *result)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *message = NULL;
	int r;

	r = sd_bus_message_new_signal(run->peer->bus, &message, KEEPER_OBJECT, KEEPER_INTERFACE, "Finished");
	if (r >= 0)
		r = sd_bus_message_append(message, "t", run->number);
	if (r >= 0)
		r = run_result_append(message, result);
	return r < 0 ? r : peer_send(run->peer, message, MESSAGE_BYTES + listed_bytes(result));
}

/* One stream's part of the result. `ret_fd` is for the caller, and closed once it is sent; of an empty stream there is none. */
static int add_stream(Run *run, Stream *stream, int *ret_fd, uint64_t *ret_head)
{
	_cleanup_close_ int memory_fd = -EBADF, fd = -EBADF;
	uint64_t kept = stream->head_n + stream->tail_n;
	int r;

	*ret_head = 0;
	if (!kept)
		return 0;
	r = stream_result(stream, &memory_fd, ret_head);
	if (r < 0)
		return r;
	fd = open_for_reading(memory_fd);
	if (fd < 0)
		return fd;
	*ret_fd = TAKE_FD(fd);
	budget_keep(&run->keeper->budget, run->peer, TAKE_FD(memory_fd), kept);
	return 0;
}

static RunResult make_result(const Run *run)
{
	return (RunResult){
		.stdout_fd = -EBADF,
		.stderr_fd = -EBADF,
		.stdout_bytes = run->output.bytes,
		.stderr_bytes = run->error.bytes,
		.stdout_file = run->output.spill.path && !run->output.unkept ? run->output.spill.path : "",
		.stderr_file = run->error.spill.path && !run->error.unkept ? run->error.spill.path : "",
		.error = run->sentence,
		.exit_code = run->signal ? -1 : run->exit_code,
		.signal = run->signal,
		.reason = run->reason,
		.duration_usec = run->over_usec - run->begun_usec,
		.cpu_usec = run->usage.cpu_usec,
		.memory_peak = run->usage.memory_peak,
		.state = run->state,
		.files_directory = run->options.collect ? run->output_directory : "",
		.files = run->files,
		.n_files = run->n_files,
		.files_left_out = run->files_left_out,
	};
}

static void unlink_run(Run *run)
{
	for (Run **p = &run->keeper->runs; *p; p = &(*p)->next)
		if (*p == run) {
			*p = run->next;
			break;
		}
}

void run_finish(Run *run)
{
	_cleanup_close_ int output_fd = -EBADF, error_fd = -EBADF;
	RunResult result;
	int r = 0;

	if (run->reason == RUN_REASONS_N)
		run->reason = RUN_CANCELLED; /* nobody saw it end, and nothing lives */
	say(run);
	result = make_result(run);
	if (run->peer) {
		r = add_stream(run, &run->output, &output_fd, &result.stdout_head);
		if (!r)
			r = add_stream(run, &run->error, &error_fd, &result.stderr_head);
		leave_out_files(run, &result);
		result.stdout_fd = output_fd;
		result.stderr_fd = error_fd;
		if (r >= 0)
			r = send_finished(run, &result);
		if (r < 0)
			complain(run, "its end", r);
	}
	keeper_record_run(run, &result);
	unlink_run(run);
	run_free(run);
}

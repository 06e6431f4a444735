/* SPDX-License-Identifier: MIT */
/*
 * One call of a REPL: its code goes to the driver as fast as the driver reads, its end is told by the driver or by the end of
 * the process. The keeper waits for neither.
 *
 * What a call asks for beyond its language is the whole leaf's while it runs: limits are narrowed for it and put back. An end
 * that was ordered - the timeout, Stop, too much output - begins with SIGINT to the process group, as a terminal does it; what
 * does not obey within the grace is killed with its state. Bash forgets an interrupt that comes while it waits for a program which
 * then ends by itself, and so gets more of them.
 */
#include "shell/keeper/repl.h"
#include "shell/keeper/surroundings.h"
#include "shell/base/log.h"
#include "shell/base/quantity.h"
#include "shell/policy/enforced.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#define GRACE_USEC UINT64_C(2000000)
#define FIRST_AGAIN_USEC UINT64_C(500000)
#define AGAIN_USEC UINT64_C(250000)
#define CHUNK (64U * 1024)

/* ---- limits ---- */

/* Less memory than the leaf has already would end it at once. False: a sentence says so. */
static bool narrow(Repl *repl)
{
	const RunOptions asked_for = {
		.memory = repl->call->options.memory,
		.processes = repl->call->options.processes,
		.cpu = repl->call->options.cpu,
		.independent = repl->independent,
	};
	const LeafLimits own = setting_limits(&asked_for);
	const LeafLimits wanted = {
		.memory = quantity_smaller(own.memory, repl->limits.memory),
		.tasks = quantity_smaller(own.tasks, repl->limits.tasks),
		.cpu = quantity_smaller(own.cpu, repl->limits.cpu),
	};
	char asked[32], used[32];
	uint64_t current;
	int r;

	if (memcmp(&wanted, &repl->limits, sizeof(wanted)) == 0)
		return true;
	if (wanted.memory != repl->limits.memory && leaf_number(repl->leaf_fd, "memory.current", &current) == 0 &&
		current >= wanted.memory) {
		(void)snprintf(repl->call->sentence, sizeof(repl->call->sentence),
			"Error: memory: %s is less than the session holds (%s)",
			str_size(wanted.memory, asked, sizeof(asked)), str_size(current, used, sizeof(used)));
		return false;
	}
	repl->narrowed = true;
	r = leaf_limit(repl->leaf_fd, &wanted);
	if (r < 0)
		(void)snprintf(repl->call->sentence, sizeof(repl->call->sentence),
			"Error: cannot limit the session: %s", strerror(-r));
	return r == 0;
}

static void widen(Repl *repl)
{
	int r = repl->narrowed ? leaf_limit(repl->leaf_fd, &repl->limits) : 0;

	repl->narrowed = false;
	if (r < 0)
		log_error("cannot lift the limits of a call of %s: %s", repl->leaf, strerror(-r));
}

/* ---- its begin ---- */

static void listen_to(Repl *repl, uint32_t events)
{
	if (sd_event_source_set_io_events(repl->channel_source, events) < 0)
		repl_end(repl, RUN_CANCELLED, "its driver cannot be watched");
}

static void broke(Repl *repl)
{
	repl->broken = true;
	repl_end(repl, RUN_REASONS_N, "its driver does not answer as ours do");
}

/* What is left of the begin and of the code, in one piece where it is small. Bytes, or a negative errno. */
static ssize_t send_part(Repl *repl)
{
	static uint8_t chunk[CHUNK]; /* one thread */
	const Run *run = repl->call;
	ssize_t part, sent;
	size_t n = 0;

	if (repl->sent < repl->begin_n) {
		n = repl->begin_n - repl->sent;
		memcpy(chunk, repl->begin + repl->sent, n);
	}
	part = pread(run->code_fd, chunk + n, sizeof(chunk) - n, (off_t)(repl->sent + n - repl->begin_n));
	if (part < 0)
		return -errno;
	sent = send(repl->channel_fd, chunk, n + (size_t)part, MSG_NOSIGNAL | MSG_DONTWAIT);
	return sent < 0 ? -errno : sent;
}

static void send_code(Repl *repl)
{
	const uint64_t all = repl->begin_n + repl->call->code_bytes;

	while (repl->sent < all) {
		ssize_t n = send_part(repl);

		if (n == -EAGAIN) {
			listen_to(repl, EPOLLIN | EPOLLOUT);
			return;
		}
		if (n <= 0) {
			/* it is ending: that it did is seen elsewhere */
			listen_to(repl, EPOLLIN);
			return;
		}
		repl->sent += (uint64_t)n;
	}
	listen_to(repl, EPOLLIN);
}

static void finish(Repl *repl)
{
	Run *run = TAKE_PTR(repl->call);

	repl->grace_timer = sd_event_source_disable_unref(repl->grace_timer);
	repl->interrupted = false;
	run->repl = NULL;
	run_over(run);
}

void repl_call_begin(Repl *repl)
{
	Run *run = repl->call;
	ProcessUsage usage;

	repl->used_usec = clock_monotonic_usec();
	leaf_meters_read(&repl->meters, &repl->before);
	if (process_usage_read("", repl->keeper->uid, &usage) == 0)
		run->processes_refused = usage.refused;
	if (!narrow(repl)) {
		widen(repl);
		run->reason = RUN_REFUSED;
		run->state = RUN_STATE_PRESERVED;
		finish(repl);
		repl_rest(repl);
		return;
	}
	outputs_begin(run);
	repl->state = REPL_BUSY;
	repl->begin_n = frame_begin(repl->begin,
		(uint8_t)(FRAME_ECHO | FRAME_INTERRUPTS(repl->interrupts) | (run->options.figures ? FRAME_FIGURES : 0)),
		run->options.label, (uint32_t)run->code_bytes);
	repl->sent = 0;
	send_code(repl);
}

/* ---- its end ---- */

/* The leaf counts all calls together; its peak is the session's. */
static void take_usage(Repl *repl)
{
	LeafUsage *usage = &repl->call->usage;

	leaf_meters_read(&repl->meters, usage);
	usage->cpu_usec -= quantity_smaller(usage->cpu_usec, repl->before.cpu_usec);
	usage->oom_kills -= quantity_smaller(usage->oom_kills, repl->before.oom_kills);
	usage->tasks_refused -= quantity_smaller(usage->tasks_refused, repl->before.tasks_refused);
}

static void explain(Run *run, const Frame *frame)
{
	const bool ordered = run->reason != RUN_REASONS_N;

	if (frame->status == FRAME_OK || (frame->status == FRAME_EXIT && !frame->exit_status)) {
		run->exit_code = 0;
		run->reason = ordered ? run->reason : RUN_OK;
		return;
	}
	if (ordered)
		return;
	run->exit_code = frame->status == FRAME_EXIT ? frame->exit_status : 1;
	run->reason = run->usage.tasks_refused ? RUN_PROCESSES : RUN_EXIT;
	/* of an exit status the result speaks by itself */
	if (run->reason == RUN_EXIT)
		(void)snprintf(run->sentence, sizeof(run->sentence), "%s", frame->error);
}

static void done(Repl *repl, const Frame *frame)
{
	Run *run = repl->call;

	/* from here on too much output stops nothing any more, and is a reason all the same */
	run->ended = true;
	(void)stream_drain(&run->output);
	(void)stream_drain(&run->error);
	take_usage(repl);
	explain(run, frame);
	run->state = repl->old ? RUN_STATE_RESET : RUN_STATE_PRESERVED;
	widen(repl);
	repl->state = REPL_IDLE;
	repl->used_usec = clock_monotonic_usec();
	finish(repl);
	if (repl->old)
		repl_end(repl, RUN_REASONS_N, "it had its time ([repl] max_duration)");
	else
		repl_rest(repl);
}

void repl_call_lost(Repl *repl)
{
	Run *run = repl->call;

	run->ended = true;
	(void)stream_drain(&run->output);
	(void)stream_drain(&run->error);
	take_usage(repl);
	run->scratch_full = repl->scratch_full;
	if (repl->ending.si_signo)
		run_explain(run, &repl->ending);
	if (repl->broken && run->reason == RUN_SIGNAL && run->signal == SIGKILL)
		(void)snprintf(
			run->sentence, sizeof(run->sentence), "Error: the session's interpreter broke off its answer");
	run->state = RUN_STATE_RESET;
	finish(repl);
}

static int send_interrupt(Repl *repl)
{
	repl->interrupts++;
	return kill(-repl->pid, SIGINT) < 0 ? -errno : 0;
}

static int on_grace(sd_event_source *source, uint64_t usec, void *userdata)
{
	Repl *repl = userdata;

	if (clock_monotonic_usec() >= repl->grace_usec)
		repl_end(repl, RUN_REASONS_N, "its call did not obey an interrupt");
	else if (send_interrupt(repl) < 0 || sd_event_source_set_time_relative(source, AGAIN_USEC) < 0 ||
		 sd_event_source_set_enabled(source, SD_EVENT_ONESHOT) < 0)
		repl_end(repl, RUN_REASONS_N, "its call could not be interrupted");
	return 0;
}

static void interrupt(Repl *repl)
{
	const uint64_t now = clock_monotonic_usec();
	const bool again = strcmp(repl->language, "bash") == 0;

	if (repl->interrupted)
		return;
	repl->interrupted = true;
	repl->grace_usec = now + GRACE_USEC;
	/* not relative: to the event loop now is when it woke up */
	if (sd_event_add_time(repl->keeper->event, &repl->grace_timer, CLOCK_MONOTONIC,
		    again ? now + FIRST_AGAIN_USEC : repl->grace_usec, 0, on_grace, repl) < 0 ||
		send_interrupt(repl) < 0)
		repl_end(repl, RUN_REASONS_N, "its call could not be interrupted");
}

void repl_forget_waiting(Repl *repl, const Run *run)
{
	size_t n = 0;

	for (size_t i = 0; i < repl->n_waiting; i++)
		if (repl->waiting[i] != run)
			repl->waiting[n++] = repl->waiting[i];
	repl->n_waiting = n;
}

void repl_call_stop(Run *run)
{
	Repl *repl = run->repl;

	/* it is over, and told of as soon as its files are */
	if (!repl)
		return;
	if (run != repl->call) {
		repl_forget_waiting(repl, run);
		run->repl = NULL;
		run->state = RUN_STATE_PRESERVED;
		run_over(run);
	} else if (repl->state == REPL_STARTING) {
		/* there is nobody yet to be interrupted, and nothing to be lost */
		repl_end(repl, RUN_REASONS_N, "it was not wanted any more before it was ready");
	} else if (repl->state == REPL_BUSY) {
		interrupt(repl);
	}
}

/* ---- the driver ---- */

/* False: the REPL is ending. */
static bool take_frame(Repl *repl, const Frame *frame)
{
	if (frame->type == 'H' && repl->state == REPL_STARTING) {
		repl->state = REPL_IDLE;
		if (repl->call)
			repl_call_begin(repl);
		else
			repl_rest(repl);
	} else if (frame->type == 'D' && repl->state == REPL_BUSY &&
		   repl->sent == repl->begin_n + repl->call->code_bytes) {
		done(repl, frame);
	} else {
		broke(repl);
	}
	return repl->state != REPL_ENDING;
}

static void take_frames(Repl *repl)
{
	static Frame frame; /* one thread */
	int r;

	while ((r = frame_next(&repl->frames, &frame)) > 0)
		if (!take_frame(repl, &frame))
			return;
	if (r < 0)
		broke(repl);
}

int repl_on_channel(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Repl *repl = userdata;
	ssize_t n;

	if (events & EPOLLOUT && repl->state == REPL_BUSY)
		send_code(repl);
	if (repl->state == REPL_ENDING || !(events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		return 0;
	n = frame_read(&repl->frames, fd);
	if (n > 0)
		take_frames(repl);
	else if (n != -EAGAIN) {
		/* it ends just now; where it does not, it is ended, and its status tells that it was by us */
		repl->broken = true;
		repl_end(repl, RUN_REASONS_N, "its interpreter ended, or closed what it answers on");
	}
	return 0;
}

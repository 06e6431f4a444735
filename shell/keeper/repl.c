/* SPDX-License-Identifier: MIT */
/* The life of a REPL: birth, rest, end. */
#include "shell/keeper/repl.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"
#include "shell/keeper/surroundings.h"
#include "shell/run/language.h"

#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/inotify.h>
#include <sys/socket.h>
#include <sys/wait.h>

static void close_all(Repl *repl)
{
	repl->exit_source = sd_event_source_disable_unref(repl->exit_source);
	repl->empty_source = sd_event_source_disable_unref(repl->empty_source);
	repl->channel_source = sd_event_source_disable_unref(repl->channel_source);
	repl->turn_source = sd_event_source_disable_unref(repl->turn_source);
	repl->idle_timer = sd_event_source_disable_unref(repl->idle_timer);
	repl->age_timer = sd_event_source_disable_unref(repl->age_timer);
	repl->grace_timer = sd_event_source_disable_unref(repl->grace_timer);
	leaf_meters_done(&repl->meters);
	repl->leaf_fd = fd_close(repl->leaf_fd);
	repl->pid_fd = fd_close(repl->pid_fd);
	repl->channel_fd = fd_close(repl->channel_fd);
	repl->output_fd = fd_close(repl->output_fd);
	repl->error_fd = fd_close(repl->error_fd);
	repl->report_fd = fd_close(repl->report_fd);
}

static Repl *repl_free(Repl *repl)
{
	close_all(repl);
	free(repl);
	return NULL;
}
DEFINE_CLEANUP(Repl, repl_free)

static void unlink_repl(Repl *repl)
{
	for (Repl **p = &repl->keeper->repls; *p; p = &(*p)->next)
		if (*p == repl) {
			*p = repl->next;
			break;
		}
}

static void drop_leaf(Repl *repl)
{
	repl->leaf_fd = fd_close(repl->leaf_fd);
	if (leaf_remove(repl->keeper->leaves_fd, repl->leaf) < 0)
		log_error("cannot remove the leaf %s", repl->leaf);
}

/* ---- birth ---- */

static int on_process_end(sd_event_source *source, const siginfo_t *info, void *userdata);

/* A predecessor's, which could not be removed at its end. The kernel may take a moment: whoever tries again finds it gone. */
static void end_leftover(const Repl *repl)
{
	_cleanup_close_ int leaf_fd = -EBADF;

	if (leaf_open(repl->keeper->leaves_fd, repl->leaf, &leaf_fd) < 0 || leaf_kill(leaf_fd) < 0)
		log_error("cannot end what is left in %s", repl->leaf);
	else if (leaf_remove(repl->keeper->leaves_fd, repl->leaf) < 0)
		log_warning("what is left in %s is still ending", repl->leaf);
}

static int make_leaf(Repl *repl, const RunOptions *options)
{
	const Policy *policy = repl->keeper->policy;
	const RunOptions most = {
		.memory = policy->exec_memory,
		.processes = policy->exec_processes,
		.cpu = policy->exec_cpu,
		.independent = options->independent,
	};
	int r;

	repl->limits = setting_limits(&most);
	r = leaf_make(repl->keeper->leaves_fd, repl->leaf, &repl->limits, false, &repl->leaf_fd);
	if (r == -EEXIST) {
		end_leftover(repl);
		r = leaf_make(repl->keeper->leaves_fd, repl->leaf, &repl->limits, false, &repl->leaf_fd);
	}
	if (r < 0)
		return r;
	r = file_put_at(repl->leaf_fd, "memory.oom.group", "1");
	/* without that controller there is no limit either that it could be about */
	return r == -ENOENT ? 0 : r;
}

/* Where figures go, besides what every run has. */
static int make_environment(const Keeper *keeper, StrList *ret)
{
	_cleanup_free_ char *dir = run_output_directory(keeper);
	int r;

	if (!dir)
		return -ENOMEM;
	r = run_environment(keeper, NULL, ret);
	return r < 0 ? r : strlist_push(ret, str_format("CREEL_OUTPUT=%s", dir));
}

typedef struct Ends {
	int input_fd, driver_fd, streams[2]; /* the REPL's ends */
} Ends;

#define ENDS_NONE ((Ends){ -EBADF, -EBADF, { -EBADF, -EBADF } })

static void ends_done(Ends *ends)
{
	fd_close(ends->input_fd);
	fd_close(ends->driver_fd);
	fd_close(ends->streams[0]);
	fd_close(ends->streams[1]);
}

static int open_ends(Repl *repl, Ends *ret)
{
	int pair[2], outside[2], r;

	ret->input_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	if (ret->input_fd < 0 || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	repl->channel_fd = pair[0];
	ret->driver_fd = pair[1];
	/* our end alone: each has a description of its own */
	if (fcntl(repl->channel_fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	r = run_open_pipes(repl->keeper->identity, ret->streams, outside);
	if (r < 0)
		return r;
	repl->output_fd = outside[0];
	repl->error_fd = outside[1];
	return 0;
}

static int give_birth(Repl *repl, const RunOptions *options, PolicyError *ret_reason)
{
	_cleanup_strlist_ StrList environment = { 0 }, arguments = { 0 };
	_cleanup_(setting_done) Setting setting = SETTING_NONE;
	_cleanup_(ends_done) Ends ends = ENDS_NONE;
	Keeper *keeper = repl->keeper;
	BirthRequest order = { .home = options->directory };
	int r;

	r = make_environment(keeper, &environment);
	if (!r)
		r = language_repl_command(keeper->policy, options->language, &arguments);
	if (!r)
		r = open_ends(repl, &ends);
	if (!r)
		r = setting_prepare(keeper, options, repl->leaf_fd, &order, &setting, ret_reason);
	if (r)
		return r;
	order.program = arguments.items[0];
	order.arguments = arguments.items;
	order.environment = environment.items;
	order.input_fd = ends.input_fd;
	order.output_fd = ends.streams[0];
	order.error_fd = ends.streams[1];
	/* a socket, not code: there is nothing to be copied, nor executed */
	order.third_fd = ends.driver_fd;
	order.copy_third = false;
	r = birth(&order, &repl->pid, &repl->pid_fd);
	repl->report_fd = TAKE_FD(setting.read_fd);
	return r;
}

static int on_age(sd_event_source *source, uint64_t usec, void *userdata)
{
	Repl *repl = userdata;

	repl->old = true;
	if (repl->state != REPL_BUSY && !repl->call)
		repl_end(repl, RUN_REASONS_N, "it had its time ([repl] max_duration)");
	return 0;
}

static int watch(Repl *repl)
{
	sd_event *event = repl->keeper->event;
	uint64_t most = repl->keeper->policy->repl_max_duration_usec;
	int r;

	r = sd_event_add_child_pidfd(event, &repl->exit_source, repl->pid_fd, WEXITED, on_process_end, repl);
	if (r >= 0)
		r = sd_event_add_io(event, &repl->channel_source, repl->channel_fd, EPOLLIN, repl_on_channel, repl);
	if (r >= 0 && most != POLICY_UNLIMITED)
		r = sd_event_add_time_relative(event, &repl->age_timer, CLOCK_MONOTONIC, most, 0, on_age, repl);
	return r < 0 ? r : 0;
}

/* Unwatched it may not live. */
static void abort_birth(Repl *repl)
{
	siginfo_t info;

	if (leaf_kill(repl->leaf_fd) < 0)
		log_error("cannot end %s", repl->leaf);
	else
		(void)waitid(P_PIDFD, (id_t)repl->pid_fd, &info, WEXITED);
}

static int start(Repl *repl, const RunOptions *options, PolicyError *ret_reason)
{
	int r;

	(void)snprintf(repl->network, sizeof(repl->network), "%s", options->network);
	repl->independent = options->independent;
	repl->frames.n = 0;
	repl->interrupts = 0;
	repl->old = repl->broken = repl->scratch_full = false;
	repl->ending = (siginfo_t){ 0 };
	r = make_leaf(repl, options);
	if (!r)
		r = give_birth(repl, options, ret_reason);
	if (r < 0) {
		if (repl->leaf_fd >= 0)
			drop_leaf(repl);
		close_all(repl);
		return r;
	}
	r = watch(repl);
	if (r < 0) {
		abort_birth(repl);
		drop_leaf(repl);
		close_all(repl);
		return r;
	}
	leaf_meters_open(repl->leaf_fd, &repl->meters);
	repl->state = REPL_STARTING;
	repl->since_usec = clock_realtime_usec();
	repl->used_usec = clock_monotonic_usec();
	return 0;
}

static const char *start_sentence(int r, const PolicyError *reason, char *buffer, size_t size)
{
	if (*reason->text)
		return reason->text;
	if (r == -EAGAIN)
		return "the agent's limit of processes is reached";
	if (r == -EEXIST)
		return "an earlier session of that name is still ending: try again";
	(void)snprintf(buffer, size, "cannot start a session: %s", strerror(-r));
	return buffer;
}

int repl_new(Keeper *keeper, const Run *run, Repl **ret, sd_bus_error *ret_error)
{
	_cleanup_(repl_freep) Repl *repl = calloc(1, sizeof(*repl));
	PolicyError reason = { "" };
	char sentence[128];
	int r;

	if (!repl)
		return -ENOMEM;
	repl->keeper = keeper;
	repl->meters = LEAF_METERS_NONE;
	repl->leaf_fd = repl->pid_fd = repl->channel_fd = repl->output_fd = repl->error_fd = repl->report_fd = -EBADF;
	(void)snprintf(repl->language, sizeof(repl->language), "%s", run->options.language);
	(void)snprintf(repl->name, sizeof(repl->name), "%s", run->options.session);
	(void)snprintf(repl->leaf, sizeof(repl->leaf), "repl-%s-%s", repl->language, repl->name);
	r = start(repl, &run->options, &reason);
	if (r < 0)
		return sd_bus_error_set(ret_error,
			*reason.text                   ? KEEPER_ERROR_POLICY
			: r == -EAGAIN || r == -EEXIST ? KEEPER_ERROR_FULL
						       : KEEPER_ERROR_FAILED,
			start_sentence(r, &reason, sentence, sizeof(sentence)));
	repl->next = keeper->repls;
	keeper->repls = repl;
	*ret = TAKE_PTR(repl);
	return 0;
}

/* ---- turns ---- */

/* Its time begins now. */
static void take_turn(Repl *repl)
{
	Run *run = repl->waiting[0];

	repl_forget_waiting(repl, run);
	repl->call = run;
	repl->idle_timer = sd_event_source_disable_unref(repl->idle_timer);
	run->begun_usec = clock_monotonic_usec();
	if (sd_event_source_set_time_relative(run->timer, run->options.timeout_usec) < 0 ||
		sd_event_source_set_enabled(run->timer, SD_EVENT_ONESHOT) < 0 ||
		stream_attach(&run->output, repl->keeper->event, repl->output_fd) < 0 ||
		stream_attach(&run->error, repl->keeper->event, repl->error_fd) < 0) {
		repl_end(repl, RUN_CANCELLED, "its call cannot be watched");
		return;
	}
	if (repl->state == REPL_IDLE)
		repl_call_begin(repl);
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	repl_end(userdata, RUN_REASONS_N, "it was not used ([repl] idle)");
	return 0;
}

void repl_rest(Repl *repl)
{
	uint64_t most = repl->keeper->policy ? repl->keeper->policy->repl_idle_usec : POLICY_UNLIMITED;
	int r = 0;

	if (repl->n_waiting) {
		take_turn(repl);
		return;
	}
	repl->idle_timer = sd_event_source_disable_unref(repl->idle_timer);
	if (most != POLICY_UNLIMITED)
		r = sd_event_add_time_relative(
			repl->keeper->event, &repl->idle_timer, CLOCK_MONOTONIC, most, 0, on_idle, repl);
	if (r < 0)
		repl_end(repl, RUN_REASONS_N, "its idle time cannot be measured");
}

static int on_turn(sd_event_source *source, void *userdata)
{
	Repl *repl = userdata;

	repl->turn_source = sd_event_source_disable_unref(repl->turn_source);
	if (repl->n_waiting && !repl->call && repl->state != REPL_ENDING)
		take_turn(repl);
	return 0;
}

void repl_add(Repl *repl, Run *run)
{
	run->repl = repl;
	run->stop = repl_call_stop;
	repl->waiting[repl->n_waiting++] = run;
	/* a failure only means that the time it waits counts */
	(void)sd_event_source_set_enabled(run->timer, SD_EVENT_OFF);
	/* not at once: the caller is to know the number before anything is told of it */
	if (!repl->call && !repl->turn_source && repl->state != REPL_ENDING &&
		sd_event_add_defer(repl->keeper->event, &repl->turn_source, on_turn, repl) < 0)
		repl_end(repl, RUN_REASONS_N, "it cannot be called");
}

/* ---- end ---- */

static void record_end(Repl *repl, const char *why)
{
	char text[256];

	(void)snprintf(text, sizeof(text), "session %s \"%s\" ends: %s", repl->language, repl->name, why);
	keeper_record_event(repl->keeper, text);
}

void repl_end(Repl *repl, RunReason reason, const char *why)
{
	int r;

	if (repl->call && repl->call->reason == RUN_REASONS_N)
		repl->call->reason = reason;
	if (repl->state == REPL_ENDING)
		return;
	repl->state = REPL_ENDING;
	repl->channel_source = sd_event_source_disable_unref(repl->channel_source);
	repl->idle_timer = sd_event_source_disable_unref(repl->idle_timer);
	repl->age_timer = sd_event_source_disable_unref(repl->age_timer);
	repl->grace_timer = sd_event_source_disable_unref(repl->grace_timer);
	record_end(repl, why);
	r = leaf_kill(repl->leaf_fd);
	if (r < 0)
		log_error("cannot end %s: %s", repl->leaf, strerror(-r));
}

void repl_abandon(Repl *repl)
{
	if (repl->leaf_fd >= 0 && leaf_kill(repl->leaf_fd) < 0)
		log_error("cannot end %s", repl->leaf);
	unlink_repl(repl);
	(void)repl_free(repl);
}

/* A new one could not be born for those who wait. */
static void refuse_waiting(Repl *repl, const char *why)
{
	while (repl->n_waiting) {
		Run *run = repl->waiting[--repl->n_waiting];

		run->repl = NULL;
		run->reason = RUN_REFUSED;
		run->state = RUN_STATE_RESET;
		(void)snprintf(run->sentence, sizeof(run->sentence), "Error: %s", why);
		run_over(run);
	}
}

/* What was judged when a call came must hold for the birth, too, and be one thing for all who wait. NULL: it is. */
static const char *why_not_again(const Repl *repl, char *text, size_t size)
{
	Keeper *keeper = repl->keeper;
	const RunOptions *first = &repl->waiting[0]->options;

	keeper_refresh_policy(keeper);
	if (!keeper->policy)
		return keeper->policy_error.text;
	if (keeper_unenforced(keeper, text, size))
		return text;
	if ((keeper->policy->exec_independent && !first->independent) ||
		run_network_mode(first->network) < run_network_least(keeper->policy))
		return "the policy has become stricter since the call came: try again";
	for (size_t i = 1; i < repl->n_waiting; i++) {
		const RunOptions *options = &repl->waiting[i]->options;

		if (options->independent != first->independent || strcmp(options->network, first->network) != 0)
			return "the calls that waited ask for different surroundings: try again";
	}
	return NULL;
}

/* Nothing of it lives any more. */
static void is_gone(Repl *repl)
{
	PolicyError reason = { "" };
	const char *why;
	char text[256];
	char sentence[128];
	int r;

	if (repl->call)
		repl_call_lost(repl);
	drop_leaf(repl);
	close_all(repl);
	why = repl->n_waiting ? why_not_again(repl, text, sizeof(text)) : NULL;
	if (why) {
		refuse_waiting(repl, why);
	} else if (repl->n_waiting) {
		r = start(repl, &repl->waiting[0]->options, &reason);
		if (!r) {
			take_turn(repl);
			return;
		}
		refuse_waiting(repl, start_sentence(r, &reason, sentence, sizeof(sentence)));
	}
	unlink_repl(repl);
	(void)repl_free(repl);
}

static int on_events_changed(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	Repl *repl = userdata;
	bool populated;

	if (leaf_populated(repl->leaf_fd, &populated) == 0 && !populated)
		is_gone(repl);
	return 0;
}

static void wait_empty(Repl *repl)
{
	bool populated = false;
	char path[64];
	int r;

	if (leaf_populated(repl->leaf_fd, &populated) < 0 || !populated) {
		is_gone(repl);
		return;
	}
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/cgroup.events", repl->leaf_fd);
	r = sd_event_add_inotify(repl->keeper->event, &repl->empty_source, path, IN_MODIFY, on_events_changed, repl);
	if (r < 0)
		log_error("cannot watch the leaf %s: %s", repl->leaf, strerror(-r));
	/* it may have emptied before the watch was there; unwatched, nothing would say so later */
	if (r < 0 || (leaf_populated(repl->leaf_fd, &populated) == 0 && !populated))
		is_gone(repl);
}

static int on_process_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Repl *repl = userdata;

	repl->exit_source = sd_event_source_disable_unref(repl->exit_source);
	repl->ending = *info;
	(void)birth_ending(repl->report_fd, info, &repl->ending.si_code, &repl->ending.si_status, &repl->scratch_full);
	repl->ending.si_signo = SIGCHLD;
	/* what it left behind goes with it */
	repl_end(repl, RUN_REASONS_N, "its interpreter ended");
	wait_empty(repl);
	return 0;
}

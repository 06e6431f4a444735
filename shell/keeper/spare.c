/* SPDX-License-Identifier: MIT */
/*
 * A spare's states: none -> ordered (a moment after the run that wants the next one was begun) -> preparing (its process
 * imports) -> ready -> taken, which is none again. One that dies, takes too long, or is given up is ending until its leaf is
 * gone.
 *
 * Until it is taken its leaf has the least weight, so that it is made ready in time that nobody else wants. It is given up
 * when the agent's memory runs short (repls.c), and the kernel prefers it when memory runs out before that (prepared.py raises
 * its oom_score_adj), but to a process that has most of the agent's memory.
 *
 * The agent may do to it what it may to its other processes. One that it ended is not there; one that it stopped is seen and
 * given up before anything is handed over. What is stopped, ended or starved later is a run like any other.
 */
#include "shell/keeper/spare.h"
#include "shell/keeper/repl.h"
#include "shell/keeper/surroundings.h"
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/run/language.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>

#define DRIVER LANGUAGE_DRIVERS "/prepared.py"
#define COLD_DRIVER LANGUAGE_DRIVERS "/python-run.py"
#define ORDER_USEC 3000U                       /* the run that has just begun comes first */
#define PREPARE_USEC (UINT64_C(120) * 1000000) /* it takes too long */
#define AGAIN_USEC (UINT64_C(300) * 1000000)   /* after one that failed */
#define REMOVE_USEC 20000U                     /* between two looks at an emptying leaf */
#define WEIGHT_IDLE "1"
#define WEIGHT_RUN "100"  /* the kernel's own */
#define PROCESSES_MAX 64U /* of a spare, that are looked at */

typedef enum SpareState { SPARE_NONE, SPARE_ORDERED, SPARE_PREPARING, SPARE_READY, SPARE_ENDING } SpareState;

typedef struct Spare {
	Keeper *keeper;
	bool independent; /* its kind */
	SpareState state;
	Run *run;        /* what it will be: born, and never begun; NULL without a process */
	int channel_fd;  /* to its driver */
	uint64_t failed; /* CLOCK_MONOTONIC: when one could not be made ready or kept; 0: the last one could */
	sd_event_source *exit_source, *channel_source, *timer;
} Spare;

struct Spares {
	Spare kinds[2];
};

static Spare *spare_of(Keeper *keeper, bool independent)
{
	if (!keeper->spares) {
		keeper->spares = calloc(1, sizeof(*keeper->spares));
		if (!keeper->spares)
			return NULL;
		for (size_t i = 0; i < ELEMENTSOF(keeper->spares->kinds); i++)
			keeper->spares->kinds[i] = (Spare){ .keeper = keeper, .independent = i, .channel_fd = -EBADF };
	}
	return &keeper->spares->kinds[independent];
}

/* ---- its end ---- */

static int on_remove(sd_event_source *source, uint64_t usec, void *userdata);

static void set_timer(Spare *spare, uint64_t usec, sd_event_time_handler_t handler)
{
	spare->timer = sd_event_source_disable_unref(spare->timer);
	if (sd_event_add_time_relative(
		    spare->keeper->event, &spare->timer, CLOCK_MONOTONIC, usec, usec / 4, handler, spare) < 0)
		log_error("no timer for a prepared interpreter");
}

static void forget(Spare *spare)
{
	spare->exit_source = sd_event_source_disable_unref(spare->exit_source);
	spare->channel_source = sd_event_source_disable_unref(spare->channel_source);
	spare->timer = sd_event_source_disable_unref(spare->timer);
	spare->channel_fd = fd_close(spare->channel_fd);
	spare->run = run_free(spare->run);
	spare->state = SPARE_NONE;
}

/* When nothing lives in it any more. */
static void remove_leaf(Spare *spare)
{
	int r = leaf_remove(spare->keeper->leaves_fd, spare->run->name);

	if (r == -EBUSY) {
		set_timer(spare, REMOVE_USEC, on_remove);
		return;
	}
	if (r < 0)
		log_error("cannot remove the leaf %s: %s", spare->run->name, strerror(-r));
	forget(spare);
}

static int on_remove(sd_event_source *source, uint64_t usec, void *userdata)
{
	remove_leaf(userdata);
	return 0;
}

static void end(Spare *spare)
{
	int r;

	if (spare->state == SPARE_ORDERED) {
		forget(spare);
		return;
	}
	if (spare->state != SPARE_PREPARING && spare->state != SPARE_READY)
		return;
	spare->state = SPARE_ENDING;
	spare->channel_source = sd_event_source_disable_unref(spare->channel_source);
	spare->channel_fd = fd_close(spare->channel_fd);
	r = leaf_kill(spare->run->leaf_fd);
	if (r < 0)
		log_error("cannot end %s: %s", spare->run->name, strerror(-r));
	if (!spare->exit_source) /* else when it has ended */
		remove_leaf(spare);
}

/* It could not be made ready, or did not stay so: not at once again, or a module that fails would keep a processor busy. */
static void fail(Spare *spare, const char *how)
{
	log_warning("a prepared interpreter %s: Python starts without one for a while", how);
	spare->failed = clock_monotonic_usec();
	end(spare);
}

static int on_process_end(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Spare *spare = userdata;
	LeafUsage usage;

	spare->exit_source = sd_event_source_disable_unref(spare->exit_source);
	leaf_usage(spare->run->leaf_fd, &usage);
	if (spare->state == SPARE_ENDING)
		remove_leaf(spare);
	else if (usage.oom_kills)
		fail(spare, "was ended for its memory");
	else if (spare->state == SPARE_PREPARING)
		fail(spare, "ended before it was ready");
	else
		end(spare); /* the agent did it */
	return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	fail(userdata, "took too long");
	return 0;
}

static int on_idle(sd_event_source *source, uint64_t usec, void *userdata)
{
	end(userdata);
	return 0;
}

/* ---- its birth ---- */

static int on_hello(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	Spare *spare = userdata;
	char said = 0;

	spare->channel_source = sd_event_source_disable_unref(spare->channel_source);
	if (recv(fd, &said, sizeof(said), MSG_DONTWAIT) != sizeof(said) || (said != 'H' && said != 'P')) {
		fail(spare, "did not get ready");
		return 0;
	}
	if (said == 'P')
		log_warning("not all of [python] preload can be imported");
	spare->state = SPARE_READY;
	spare->failed = 0;
	spare->timer = sd_event_source_disable_unref(spare->timer);
	if (spare->keeper->policy && spare->keeper->policy->repl_idle_usec != POLICY_UNLIMITED)
		set_timer(spare, spare->keeper->policy->repl_idle_usec, on_idle);
	return 0;
}

static int build_arguments(const Policy *policy, StrList *ret)
{
	_cleanup_strlist_ StrList list = { 0 };
	int r;

	r = strlist_add(&list, policy->python);
	if (!r)
		r = strlist_add(&list, DRIVER);
	if (!r)
		r = strlist_add(&list, COLD_DRIVER);
	for (size_t i = 0; !r && i < policy->preload.n; i++)
		r = strlist_add(&list, policy->preload.items[i]);
	if (r < 0)
		return r;
	*ret = list;
	list = (StrList){ 0 };
	return 0;
}

/* Without that controller nobody has a weight. */
static int set_weight(const Spare *spare, const char *weight)
{
	int r = file_put_at(spare->run->leaf_fd, "cpu.weight", weight);

	return r == -ENOENT ? 0 : r;
}

/* With /dev/null for its streams: what imports print is nobody's. */
static int give_birth(Spare *spare)
{
	_cleanup_strlist_ StrList arguments = { 0 };
	_cleanup_close_ int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC), theirs = -EBADF;
	PolicyError reason = { "" };
	int ends[2], r;

	if (null_fd < 0)
		return -errno;
	r = build_arguments(spare->keeper->policy, &arguments);
	if (r < 0)
		return r;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0)
		return -errno;
	spare->channel_fd = ends[0];
	theirs = ends[1];

	r = run_birth(spare->run,
		&(RunBirth){
			.arguments = arguments.items,
			.input_fd = null_fd,
			.output_fd = null_fd,
			.error_fd = null_fd,
			.passed_fd = theirs,
		},
		&reason);
	if (r < 0)
		return r;
	r = set_weight(spare, WEIGHT_IDLE);
	return r < 0 ? r : leaf_mark(spare->run->leaf_fd, RUN_MARK_SPARE, "idle");
}

static int watch(Spare *spare)
{
	sd_event *event = spare->keeper->event;
	int r;

	r = sd_event_add_child_pidfd(event, &spare->exit_source, spare->run->pid_fd, WEXITED, on_process_end, spare);
	if (r >= 0)
		r = sd_event_add_io(event, &spare->channel_source, spare->channel_fd, EPOLLIN, on_hello, spare);
	return r;
}

/* Unwatched it may not live. */
static void abort_birth(Spare *spare)
{
	siginfo_t info;

	if (spare->run && spare->run->pid_fd >= 0 && leaf_kill(spare->run->leaf_fd) == 0)
		(void)waitid(P_PIDFD, (id_t)spare->run->pid_fd, &info, WEXITED);
	spare->exit_source = sd_event_source_disable_unref(spare->exit_source);
	if (spare->run && spare->run->leaf_fd >= 0) {
		spare->state = SPARE_ENDING;
		remove_leaf(spare);
	} else {
		forget(spare);
	}
}

/* Not where the agent is short of processes itself. */
static bool there_is_room(const Keeper *keeper)
{
	ProcessUsage usage;

	return process_usage_read("", keeper->uid, &usage) < 0 || usage.count + usage.count / 2 < usage.limit;
}

/* A spare has its caller's own code and input, where [commands] allow lets a run have copies only that nobody can execute. */
static bool policy_wants(const Policy *policy)
{
	return policy->preload.n && !policy->commands_allow.n;
}

static int on_order(sd_event_source *source, uint64_t usec, void *userdata)
{
	Spare *spare = userdata;
	Keeper *keeper = spare->keeper;
	int r;

	spare->timer = sd_event_source_disable_unref(spare->timer);
	spare->state = SPARE_NONE;
	keeper_refresh_policy(keeper);
	if (!keeper->policy || !policy_wants(keeper->policy) || !there_is_room(keeper))
		return 0;
	r = run_new_spare(keeper, spare->independent, &spare->run);
	if (!r)
		r = give_birth(spare);
	if (!r) {
		repls_watch_memory(keeper);
		spare->state = SPARE_PREPARING;
		set_timer(spare, PREPARE_USEC, on_late);
		r = watch(spare);
	}
	if (r < 0) {
		log_warning("cannot prepare an interpreter: %s", strerror(-r));
		spare->failed = clock_monotonic_usec();
		abort_birth(spare);
	}
	return 0;
}

static void order(Spare *spare)
{
	if (spare->state != SPARE_NONE || (spare->failed && clock_monotonic_usec() - spare->failed < AGAIN_USEC))
		return;
	spare->state = SPARE_ORDERED;
	set_timer(spare, ORDER_USEC, on_order);
}

/* ---- its run ---- */

static bool all_wait(int leaf_fd, const char *file)
{
	char pids[16 * PROCESSES_MAX], stat[512], path[48], *rest = pids, *pid, *state;
	int r;

	r = file_get_at(leaf_fd, file, pids, sizeof(pids));
	if (r < 0)
		return r == -ENOENT;
	while ((pid = strsep(&rest, "\n"))) {
		if (!*pid)
			continue;
		(void)snprintf(path, sizeof(path), "/proc/%.16s/stat", pid);
		if (file_get_at(AT_FDCWD, path, stat, sizeof(stat)) < 0)
			return false;
		/* the name before it may have any byte, and parentheses */
		state = strrchr(stat, ')');
		if (!state || strlen(state) < 3 || strchr("TtZXx", state[2]))
			return false;
	}
	return true;
}

/* Its processes are there, and none is stopped. */
static bool waits(const Spare *spare)
{
	return all_wait(spare->run->leaf_fd, "cgroup.procs") &&
	       all_wait(spare->run->leaf_fd, RESTRICTED_LEAF "/cgroup.procs");
}

/* 0 where the controller is not there that would limit it. */
static uint64_t used(const Spare *spare, const char *file)
{
	uint64_t value;

	return leaf_number(spare->run->leaf_fd, file, &value) < 0 ? 0 : value;
}

/* The run's own limits leave room for what the spare has already. */
static bool fits(const Spare *spare, const RunOptions *options)
{
	return used(spare, "memory.current") <= options->memory / 2 &&
	       used(spare, "pids.current") <= setting_limits(options).tasks;
}

/* A view may lack other folders, and a run that cannot begin there is told so by its birth. */
static bool directory_is_home(const Run *run)
{
	const char *home = run->keeper->identity->home, *directory = run->options.directory;
	size_t n = strlen(home);

	return strncmp(directory, home, n) == 0 && (!directory[n] || directory[n] == '/');
}

static bool could_serve(const Run *run)
{
	const Policy *policy = run->keeper->policy;
	const RunOptions *options = &run->options;

	return policy_wants(policy) && strcmp(options->language, "python") == 0 && !*options->session &&
	       !options->figures && strcmp(options->network, run_network_name(run_network_least(policy))) == 0 &&
	       (!options->independent || directory_is_home(run));
}

static bool has_limits_of(const Spare *spare, const RunOptions *options)
{
	const RunOptions *policy = &spare->run->options;

	return policy->memory == options->memory && policy->processes == options->processes &&
	       policy->cpu == options->cpu;
}

/* Those of the policy it has already. */
static int set_limits(const Spare *spare, const RunOptions *options)
{
	const LeafLimits limits = {
		.memory = options->memory,
		.tasks = options->processes == LEAF_UNLIMITED ? LEAF_UNLIMITED : setting_limits(options).tasks,
		.cpu = options->cpu,
	};
	int r = 0;

	if (!has_limits_of(spare, options))
		r = leaf_limit(spare->run->leaf_fd, &limits);
	if (!r)
		r = set_weight(spare, WEIGHT_RUN);
	return r < 0 ? r : leaf_mark(spare->run->leaf_fd, RUN_MARK_SPARE, "taken");
}

bool spare_take(Run *run)
{
	Keeper *keeper = run->keeper;
	Spare *spare = could_serve(run) ? spare_of(keeper, run->options.independent) : NULL;
	int r;

	if (!spare)
		return false;
	if (spare->state != SPARE_READY || !fits(spare, &run->options)) {
		order(spare);
		return false;
	}
	r = waits(spare) ? set_limits(spare, &run->options) : -ESRCH;
	if (!r)
		r = run_hand_over(run, spare->channel_fd);
	if (r < 0) {
		end(spare);
		order(spare);
		return false;
	}
	run_become(run, spare->run);
	forget(spare);
	order(spare);
	return true;
}

/* ---- all of them ---- */

bool spares_give_up(Keeper *keeper)
{
	bool any = false;

	for (size_t i = 0; keeper->spares && i < ELEMENTSOF(keeper->spares->kinds); i++) {
		Spare *spare = &keeper->spares->kinds[i];

		if (spare->state == SPARE_PREPARING || spare->state == SPARE_READY) {
			any = true;
			spare->failed = clock_monotonic_usec();
		}
		end(spare);
	}
	return any;
}

void spares_renew(Keeper *keeper)
{
	(void)spares_give_up(keeper);
	for (size_t i = 0; keeper->spares && i < ELEMENTSOF(keeper->spares->kinds); i++)
		keeper->spares->kinds[i].failed = 0;
}

void spares_done(Keeper *keeper)
{
	for (size_t i = 0; keeper->spares && i < ELEMENTSOF(keeper->spares->kinds); i++) {
		Spare *spare = &keeper->spares->kinds[i];

		if (spare->run && spare->run->leaf_fd >= 0 && leaf_kill(spare->run->leaf_fd) < 0)
			log_error("cannot end %s", spare->run->name);
		forget(spare);
	}
	free(keeper->spares);
	keeper->spares = NULL;
}

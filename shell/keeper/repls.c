/* SPDX-License-Identifier: MIT */
/*
 * All of an agent's REPLs: who is called by a name, which one makes room, and what is told of them.
 *
 * Room is made by ending the one that is idle the longest: when [repl] sessions are there already, when the slice has little
 * memory left before something is born into it, and when the kernel says that its limit was met.
 */
#include "shell/keeper/repl.h"
#include "shell/keeper/spare.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"

#include <string.h>
#include <sys/inotify.h>

#define MEMORY_SHORT_PERCENT 90U

static Repl *find(const Keeper *keeper, const char *language, const char *name)
{
	for (Repl *repl = keeper->repls; repl; repl = repl->next)
		if (strcmp(repl->language, language) == 0 && strcmp(repl->name, name) == 0)
			return repl;
	return NULL;
}

bool repls_have(const Keeper *keeper, const char *language, const char *name)
{
	const Repl *repl = find(keeper, language, name);

	return repl && repl->state != REPL_ENDING;
}

static Repl *oldest_idle(Keeper *keeper)
{
	Repl *oldest = NULL;

	for (Repl *repl = keeper->repls; repl; repl = repl->next)
		if (repl->state == REPL_IDLE && !repl->call && (!oldest || repl->used_usec < oldest->used_usec))
			oldest = repl;
	return oldest;
}

/* ---- room ---- */

static bool memory_short(const Keeper *keeper)
{
	uint64_t limit, used, active_file, inactive_file;

	if (leaf_number(keeper->slice_fd, "memory.max", &limit) < 0 || limit == LEAF_UNLIMITED ||
		leaf_number(keeper->slice_fd, "memory.current", &used) < 0 ||
		used <= limit / 100 * MEMORY_SHORT_PERCENT ||
		leaf_keyed(keeper->slice_fd, "memory.stat", "active_file", &active_file) < 0 ||
		leaf_keyed(keeper->slice_fd, "memory.stat", "inactive_file", &inactive_file) < 0)
		return false;
	/* the page cache gives way */
	used -= active_file + inactive_file < used ? active_file + inactive_file : used;
	return used > limit / 100 * MEMORY_SHORT_PERCENT;
}

/* One at a time: it takes a moment until its memory is free, and one may be enough. */
static bool one_is_ending(const Keeper *keeper)
{
	for (const Repl *repl = keeper->repls; repl; repl = repl->next)
		if (repl->state == REPL_ENDING)
			return true;
	return false;
}

void repls_make_memory(Keeper *keeper)
{
	Repl *repl = oldest_idle(keeper);

	/* interpreters that nobody has used yet go first */
	if (!one_is_ending(keeper) && memory_short(keeper) && !spares_give_up(keeper) && repl)
		repl_end(repl, RUN_REASONS_N, "the agent is short of memory");
}

static int on_memory_events(sd_event_source *source, const struct inotify_event *event, void *userdata)
{
	repls_make_memory(userdata);
	return 0;
}

void repls_watch_memory(Keeper *keeper)
{
	char path[64];
	int r;

	if (keeper->memory_source)
		return;
	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d/memory.events", keeper->slice_fd);
	r = sd_event_add_inotify(keeper->event, &keeper->memory_source, path, IN_MODIFY, on_memory_events, keeper);
	if (r < 0)
		log_warning("cannot watch the agent's memory: %s", strerror(-r));
}

static int make_room(Keeper *keeper, sd_bus_error *error)
{
	const uint64_t most = keeper->policy->repl_sessions;
	uint64_t n = 0;
	Repl *oldest;

	if (!most)
		return sd_bus_error_set(
			error, KEEPER_ERROR_POLICY, "session: the policy allows none ([repl] sessions)");
	for (const Repl *repl = keeper->repls; repl; repl = repl->next)
		n += repl->state != REPL_ENDING || repl->n_waiting;
	/* after a policy that allowed more there may be several too many */
	for (; n >= most; n--) {
		oldest = oldest_idle(keeper);
		if (!oldest)
			return sd_bus_error_setf(error, KEEPER_ERROR_FULL,
				"session: all %llu that the policy allows ([repl] sessions) are busy: wait for one, or "
				"reset it",
				(unsigned long long)most);
		repl_end(oldest, RUN_REASONS_N, "another one needs its place ([repl] sessions)");
	}
	return 0;
}

/* ---- calls ---- */

/* Bash cannot hold a NUL byte; the others say what is wrong with it themselves. */
static bool has_nul(const Run *run)
{
	static char chunk[64 * 1024]; /* one thread */
	ssize_t n;

	for (off_t at = 0; (n = pread(run->code_fd, chunk, sizeof(chunk), at)) > 0; at += n)
		if (memchr(chunk, 0, (size_t)n))
			return true;
	return false;
}

static int judge(const Run *run, const Repl *repl, sd_bus_error *error)
{
	const RunOptions *options = &run->options;

	if (options->input_fd >= 0)
		return sd_bus_error_set(
			error, SD_BUS_ERROR_INVALID_ARGS, "stdin: a session's interpreter has none, for all its calls");
	if (options->arguments && options->arguments[0])
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
			"arguments: a session's interpreter runs already, without any");
	if (!repl || repl->state == REPL_ENDING)
		return 0;
	if (options->independent && !repl->independent)
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS,
			"independent: the session shares the agent's files since it began: reset it, or take another "
			"name");
	if (run_network_mode(options->network) > run_network_mode(repl->network))
		return sd_bus_error_setf(error, SD_BUS_ERROR_INVALID_ARGS,
			"network: the session has \"%s\" since it began: reset it, or take another name",
			repl->network);
	return 0;
}

int repl_call(Run *run, sd_bus_error *ret_error)
{
	Keeper *keeper = run->keeper;
	Repl *repl = find(keeper, run->options.language, run->options.session);
	int r;

	r = judge(run, repl, ret_error);
	if (r)
		return r;
	if (repl && repl->n_waiting == REPL_WAITING_MAX)
		return sd_bus_error_setf(
			ret_error, KEEPER_ERROR_FULL, "session: %u calls wait for it already", REPL_WAITING_MAX);
	/* the only thing that reads all of the code, and so behind what is refused without */
	if (strcmp(run->options.language, "bash") == 0 && has_nul(run))
		return sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS, "code: bash takes no NUL byte");
	/* one that is ending is born again for who waits, and needs a place as any other */
	if (!repl || (repl->state == REPL_ENDING && !repl->n_waiting))
		r = make_room(keeper, ret_error);
	if (!r && !repl)
		r = repl_new(keeper, run, &repl, ret_error);
	if (r)
		return r;
	repls_watch_memory(keeper);
	run_number(run);
	r = run_begun(run);
	if (r < 0) {
		if (repl->state == REPL_STARTING && !repl->call)
			repl_end(repl, RUN_REASONS_N, "its first call could not be watched");
		return sd_bus_error_setf(ret_error, KEEPER_ERROR_FAILED, "cannot watch a call: %s", strerror(-r));
	}
	repl_add(repl, run);
	return 0;
}

void repls_done(Keeper *keeper)
{
	while (keeper->repls)
		repl_abandon(keeper->repls);
	keeper->memory_source = sd_event_source_disable_unref(keeper->memory_source);
}

/* ---- the rows Repls and Reset ---- */

static int append_repl(const Repl *repl, sd_bus_message *reply)
{
	static const char *const states[] = {
		[REPL_STARTING] = "starting", [REPL_IDLE] = "idle", [REPL_BUSY] = "busy"
	};
	const bool waiting = repl->state == REPL_ENDING; /* for the end of the one of that name */
	uint64_t bytes = 0, now = clock_monotonic_usec();

	if (waiting && !repl->n_waiting)
		return 0;
	if (leaf_number(repl->leaf_fd, "memory.current", &bytes) < 0)
		bytes = 0;
	return sd_bus_message_append(reply, "(sssttt)", repl->name, repl->language,
		states[waiting ? REPL_STARTING : repl->state], repl->since_usec,
		repl->state == REPL_IDLE ? now - repl->used_usec : UINT64_C(0), bytes);
}

int method_repls(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	const Keeper *keeper = userdata;
	int r;

	r = sd_bus_message_new_method_return(message, &reply);
	if (r >= 0)
		r = sd_bus_message_open_container(reply, 'a', "(sssttt)");
	for (const Repl *repl = keeper->repls; repl && r >= 0; repl = repl->next)
		r = append_repl(repl, reply);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r < 0 ? r : sd_bus_send(NULL, reply, NULL);
}

int method_reset(void *userdata, Peer *peer, sd_bus_message *message, sd_bus_error *error)
{
	const char *language, *name;
	Keeper *keeper = userdata;
	bool was;
	Repl *repl;
	int r;

	r = sd_bus_message_read(message, "ss", &language, &name);
	if (r < 0)
		return r;
	if (!run_session_valid(name))
		return sd_bus_error_set(error, SD_BUS_ERROR_INVALID_ARGS, "session: must be " RUN_SESSION_RULE);
	repl = find(keeper, language, name);
	/* one that is there may be ended in any case */
	if (!repl && keeper->policy) {
		r = run_judge_language(keeper->policy, language, error);
		if (r)
			return r;
	}
	was = repl && repl->state != REPL_ENDING;
	if (was)
		repl_end(repl, RUN_CANCELLED, "it was reset");
	return sd_bus_reply_method_return(message, "b", was);
}

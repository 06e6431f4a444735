/* SPDX-License-Identifier: MIT */
/*
 * Birth of a channel's process: what is executed, which streams it gets, which leaf it is born in.
 *
 * Order: everything that can fail without a trace first (streams, environment), then the leaf, then the clone. Where the
 * slice has no room to work in, the leaf is the rescue leaf, if that is free; a clone that meets the slice's limit is tried
 * once more there.
 */
#include "shell/keeper/keeper.h"
#include "shell/keeper/terminal-recording.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"
#include "shell/run/birth.h"
#include "shell/session/environment.h"

#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>

#define PIPE_BYTES (256 * 1024)

static int on_exit_child(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Channel *channel = userdata;

	if (info->si_code == CLD_EXITED)
		channel_finish(channel, "exit", info->si_status, false);
	else
		channel_finish(channel, "signal", info->si_status, info->si_code == CLD_DUMPED);
	return 0;
}

typedef struct Streams {
	int inside[3], outside[3]; /* inside: the process's; outside: what the front gets */
	size_t n_outside;
	char tty[TERMINAL_PATH_MAX];
} Streams;

static void streams_done(Streams *streams)
{
	for (int i = 0; i < 3; i++) {
		streams->inside[i] = fd_close(streams->inside[i]);
		streams->outside[i] = fd_close(streams->outside[i]);
	}
}

static int streams_open_pipes(const Identity *identity, Streams *streams)
{
	int r;

	/* the agent owns its pipes, so that /dev/stdin and /proc/self/fd/1 can be opened again by it */
	r = identity_borrow(identity);
	if (r < 0)
		return r;
	for (int i = 0; i < 3 && !r; i++) {
		int ends[2];

		if (pipe2(ends, O_CLOEXEC) < 0) {
			r = -errno;
			break;
		}
		streams->inside[i] = i == 0 ? ends[0] : ends[1];
		streams->outside[i] = i == 0 ? ends[1] : ends[0];
	}
	identity_give_back();
	/* 64 KiB pipes throttle bulk transfers; stderr has no bulk. Smaller works too, so a refusal is no failure. */
	for (int i = 0; i < 2 && !r; i++)
		(void)fcntl(streams->outside[i], F_SETPIPE_SZ, PIPE_BYTES);
	streams->n_outside = 3;
	return r;
}

static int streams_open(const Identity *identity, const ChannelRequest *request, Streams *streams)
{
	int r;

	if (!request->terminal)
		return streams_open_pipes(identity, streams);

	r = terminal_open(identity, &request->size, request->modes, request->modes_n, &streams->outside[0],
		&streams->inside[0], streams->tty);
	if (r < 0)
		return r;
	streams->n_outside = 1;
	for (int i = 1; i < 3; i++) {
		streams->inside[i] = fcntl(streams->inside[0], F_DUPFD_CLOEXEC, 3);
		if (streams->inside[i] < 0)
			return -errno;
	}
	return 0;
}

typedef struct Program {
	const char *path;
	const char *arguments[POLICY_SUBSYSTEM_WORDS_MAX + 1];
	char login_name[72]; /* "-bash" */
	char *words;         /* of a subsystem: path and arguments point into it */
} Program;

static void program_done(Program *program)
{
	free(program->words);
}

/* The row "NAME=PROGRAM ARGUMENT ..." of the policy. -ENOENT: there is none of that name. */
static int choose_subsystem(const Policy *policy, const char *name, Program *ret)
{
	size_t name_n = strlen(name), n = 0;
	const char *row = NULL;

	for (size_t i = 0; i < policy->subsystems.n && !row; i++)
		if (strncmp(policy->subsystems.items[i], name, name_n) == 0 &&
			policy->subsystems.items[i][name_n] == '=')
			row = policy->subsystems.items[i] + name_n + 1;
	if (!row || !name_n)
		return -ENOENT;
	ret->words = strdup(row);
	if (!ret->words)
		return -ENOMEM;
	for (char *rest = ret->words, *word; (word = strsep(&rest, " "));)
		if (*word && n < ELEMENTSOF(ret->arguments) - 1)
			ret->arguments[n++] = word;
	if (!n)
		return -ENOENT;
	ret->path = ret->arguments[0];
	if (strrchr(ret->path, '/'))
		ret->arguments[0] = strrchr(ret->path, '/') + 1;
	return 0;
}

/* What to execute. -ENOENT: no such subsystem. */
static int choose_program(const Policy *policy, const ChannelRequest *request, Program *ret)
{
	const char *base = strrchr(policy->shell, '/');

	base = base ? base + 1 : policy->shell;
	ret->path = policy->shell;
	if (strcmp(request->kind, "subsystem") == 0) {
		return choose_subsystem(policy, request->command, ret);
	} else if (strcmp(request->kind, "exec") == 0) {
		ret->arguments[0] = base;
		ret->arguments[1] = "-c";
		ret->arguments[2] = request->command;
	} else if (strcmp(request->kind, "shell") == 0) {
		(void)snprintf(ret->login_name, sizeof(ret->login_name), "-%s", base);
		ret->arguments[0] = ret->login_name;
	} else {
		return -EINVAL;
	}
	return 0;
}

static int make_leaf(Channel *channel, int parent_fd)
{
	return leaf_make(parent_fd, channel->name, NULL, false, &channel->leaf_fd);
}

static void drop_leaf(Channel *channel)
{
	channel->leaf_fd = fd_close(channel->leaf_fd);
	if (leaf_remove(channel->parent_fd, channel->name) < 0)
		log_error("cannot remove the leaf %s of session %s", channel->name, channel->session->id);
	rescue_leave(channel->session);
}

/* Before the birth: nobody can have filled the stream yet, so that the keeper never waits for a reader. */
static void say_rescue(const Streams *streams)
{
	static const char text[] = "creel: your limits are used up; this login runs in the rescue leaf "
				   "(8 processes, 64M): end what you do not need, then log in again\n";

	if (write(streams->inside[2], text, sizeof(text) - 1) < 0)
		log_warning("a login could not be told that it runs in the rescue leaf");
}

static int go_to_rescue(Channel *channel, const Streams *streams)
{
	int fd, r;

	r = rescue_open(channel->session->keeper, channel->session, &fd);
	if (r < 0)
		return r;
	channel->rescue = true;
	channel->parent_fd = fd;
	r = make_leaf(channel, fd);
	if (r < 0)
		rescue_leave(channel->session);
	else
		say_rescue(streams);
	return r;
}

static int give_birth(Channel *channel, const ChannelRequest *request, const Program *program, const Streams *streams)
{
	Keeper *keeper = channel->session->keeper;
	_cleanup_(strlist_done) StrList environment = { 0 };
	const EnvironmentRequest wanted = {
		.shell = keeper->policy->shell,
		.peer = channel->session->peer,
		.session = channel->session->id,
		.term = request->term,
		.tty = request->terminal ? streams->tty : NULL,
		.accepted = &keeper->policy->environment,
		.original = channel->original,
		.key = channel->session->options.environment.items,
		.asked = request->environment,
		.policy = keeper->policy,
	};
	BirthRequest order = {
		.confinement = &keeper->confinement,
		.program = program->path,
		.arguments = (char *const *)program->arguments,
		.home = keeper->identity->home,
		.input_fd = streams->inside[0],
		.output_fd = streams->inside[1],
		.error_fd = streams->inside[2],
		.terminal = request->terminal,
	};
	int r;

	r = environment_build(keeper->identity, &wanted, &environment);
	if (r < 0)
		return r;
	order.environment = environment.items;

	r = rescue_is_due(keeper) ? go_to_rescue(channel, streams) : -EBUSY;
	if (r == -EBUSY && slice_is_full(keeper))
		return -EAGAIN;
	if (r == -EBUSY) {
		channel->parent_fd = channel->session->dir_fd;
		r = make_leaf(channel, channel->parent_fd);
	}
	if (r < 0)
		return r;
	order.leaf_fd = channel->leaf_fd;
	r = birth(&order, &channel->pid, &channel->pid_fd);
	if (r == -EAGAIN && !channel->rescue) {
		drop_leaf(channel);
		r = go_to_rescue(channel, streams);
		if (r < 0)
			return r == -EBUSY ? -EAGAIN : r;
		order.leaf_fd = channel->leaf_fd;
		r = birth(&order, &channel->pid, &channel->pid_fd);
	}
	if (r < 0)
		drop_leaf(channel);
	return r;
}

/* What adopt.c needs to know again. */
static int mark_leaf(const Channel *channel)
{
	int r;

	r = leaf_mark_number(channel->leaf_fd, "pid", (uint64_t)channel->pid);
	if (!r)
		r = leaf_mark_number(channel->leaf_fd, "started", channel->started_usec);
	if (!r)
		r = leaf_mark(channel->leaf_fd, "kind", channel->kind);
	if (!r && channel->terminal)
		r = leaf_mark(channel->leaf_fd, "terminal", "yes");
	if (!r)
		r = leaf_mark(channel->leaf_fd, "command", channel->command);
	if (!r && channel->recording)
		r = leaf_mark(channel->leaf_fd, "recording", channel->recording);
	if (!r && strlen(channel->command) > LEAF_MARK_MAX)
		r = leaf_mark_number(channel->leaf_fd, "command-bytes", strlen(channel->command));
	return r;
}

/* Unwatched it may not live. */
static void abort_birth(Channel *channel)
{
	siginfo_t info;

	if (leaf_kill(channel->leaf_fd) < 0)
		log_error("session %s: cannot end %s", channel->session->id, channel->name);
	else
		(void)waitid(P_PIDFD, (id_t)channel->pid_fd, &info, WEXITED);
	drop_leaf(channel);
}

static int start_failed(int r, const ChannelRequest *request, sd_bus_error *ret_error)
{
	if (r == -EAGAIN)
		return sd_bus_error_set(ret_error, KEEPER_ERROR_FULL,
			"the agent's limit of processes is reached, and its rescue leaf is in use");
	if (r == -EINVAL)
		return sd_bus_error_set(ret_error, SD_BUS_ERROR_INVALID_ARGS, "unknown kind of channel");
	if (r == -ENOENT && strcmp(request->kind, "subsystem") == 0) {
		char name[4 * POLICY_SUBSYSTEM_NAME_MAX + 1];

		(void)str_quote(request->command, strlen(request->command), name, sizeof(name));
		return sd_bus_error_setf(ret_error, KEEPER_ERROR_DENIED, "there is no subsystem \"%s\"", name);
	}
	return sd_bus_error_setf(ret_error, KEEPER_ERROR_FAILED, "cannot start a process: %s", strerror(-r));
}

/* A key's command= runs instead of whatever the client asks for, and gets to know what that was (sshd(8)). */
static ChannelRequest force_command(const Session *session, const ChannelRequest *asked)
{
	ChannelRequest request = *asked;

	if (session->options.command) {
		request.kind = "exec";
		request.command = session->options.command;
	}
	return request;
}

int channel_start(
	Session *session, const ChannelRequest *asked, int ret_fds[static 3], size_t *ret_n, sd_bus_error *ret_error)
{
	const ChannelRequest effective = force_command(session, asked), *request = &effective;
	_cleanup_(streams_done) Streams streams = { .inside = { -1, -1, -1 }, .outside = { -1, -1, -1 } };
	_cleanup_(channel_freep) Channel *channel = NULL;
	Keeper *keeper = session->keeper;
	_cleanup_(program_done) Program program = { 0 };
	int r;

	r = choose_program(keeper->policy, request, &program);
	if (r < 0)
		return start_failed(r, request, ret_error);
	r = channel_make(session, request->kind, strdup(request->command), &channel);
	if (r < 0)
		return start_failed(r, request, ret_error);
	channel->number = request->number;
	channel->terminal = request->terminal;
	channel->started_usec = clock_realtime_usec();
	if (session->options.command && *asked->command) {
		channel->original = strdup(asked->command);
		if (!channel->original)
			return -ENOMEM;
	}
	(void)snprintf(channel->name, sizeof(channel->name), "exec-%u", request->number);
	r = streams_open(keeper->identity, request, &streams);
	if (!r && request->terminal) {
		r = terminal_record(channel, request->term, &streams.outside[0]);
		if (r < 0)
			return sd_bus_error_setf(ret_error, KEEPER_ERROR_FAILED,
				"this agent's terminals are recorded, and that cannot be done now: %s", strerror(-r));
	}
	if (!r)
		r = give_birth(channel, request, &program, &streams);
	if (r < 0) {
		terminal_record_undo(channel);
		return start_failed(r, request, ret_error);
	}

	r = mark_leaf(channel);
	if (!r)
		r = sd_event_add_child_pidfd(
			keeper->event, &channel->exit_source, channel->pid_fd, WEXITED, on_exit_child, channel);
	if (r < 0) {
		abort_birth(channel);
		return start_failed(r, request, ret_error);
	}

	for (size_t i = 0; i < streams.n_outside; i++)
		ret_fds[i] = TAKE_FD(streams.outside[i]);
	*ret_n = streams.n_outside;
	keeper_record_command_start(channel);
	channel_link(TAKE_PTR(channel));
	return 0;
}

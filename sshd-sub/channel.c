/* SPDX-License-Identifier: MIT */
/*
 * Requests of a session channel, and its way to the end.
 *
 * exec, shell and subsystem are answered with yes at once and started by the keeper meanwhile: nothing in a worker waits
 * for another process once the client is in. A start that fails shows as a line on stderr and status 254, so that the user
 * sees why; a refused request would only say that it was refused.
 *
 * After the process ended its output is read to the end. Descendants may hold it open: once all that was there at the
 * exit is read, silence of DRAIN_SILENCE_USEC, or DRAIN_MOST_USEC of chatter, ends the channel.
 */
#include "sshd-sub/worker.h"
#include "shell/base/rate.h"
#include "sshd-sub/modes.h"

#include <libssh/server.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#define DRAIN_SILENCE_USEC (150U * 1000U)
#define DRAIN_MOST_USEC (1000U * 1000U)
#define SILENT_USEC (200U * 1000U)     /* from closed output to our end of the stream: an exit mostly follows at once */
#define DRAIN_PIPE_MAX (1024U * 1024U) /* no pipe holds more: what is read beyond it was written after the exit */
#define STATUS_NOT_STARTED 254U        /* as the VM's programs use it; 255 would be ssh's own */

Channel *channel_find(Worker *worker, uint32_t number)
{
	for (size_t i = 0; i < worker->n_channels; i++)
		if (worker->channels[i]->number == number)
			return worker->channels[i];
	return NULL;
}

static void channel_fail(Channel *channel, const char *why)
{
	channel->state = CHANNEL_EXITED;
	channel->how = EXIT_STATUS;
	channel->code = STATUS_NOT_STARTED;
	channel->exited_usec = channel->heard_usec = clock_monotonic_usec();
	free(channel->note);
	channel->note = strdup(why);
}

/* From now on the monitor speaks of a departure. */
static void channel_hang_up(Channel *channel)
{
	int *const fds[WIRE_FDS_MAX] = { &channel->in_fd, &channel->out_fd, &channel->err_fd };
	Worker *worker = channel->worker;

	if (link_tell(&worker->link, WIRE_CLOSE, channel->number, 0, NULL) < 0)
		worker->broken = true;
	if (channel->terminal)
		channel->in_fd = -EBADF; /* it is the same as out_fd */
	departures_add(&worker->departures, channel->number, fds);
	channel->departed = true;
}

void channel_overflow(Channel *channel)
{
	if (channel->forwards) {
		(void)ssh_channel_close(channel->ssh);
		channel->closed = true;
		return;
	}
	if (channel->state == CHANNEL_STARTING || channel->state == CHANNEL_RUNNING)
		channel_hang_up(channel);
	channel_fail(
		channel, "creel: more input was sent ahead on this connection than it may hold (16M), most of it here");
}

static int channel_ask_start(Channel *channel, WireKind kind, const char *command)
{
	static uint8_t buffer[WIRE_PAYLOAD_MAX];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };
	Worker *worker = channel->worker;

	if (channel->state != CHANNEL_OPEN)
		return 1; /* a channel has one command */
	channel->state = CHANNEL_STARTING;

	if (strlen(command) > KEEPER_COMMAND_MAX) {
		channel_fail(channel, "creel: the command is too long");
		return 0;
	}
	wire_put_u32(&writer, kind);
	wire_put_string(&writer, command);
	wire_put_u32(&writer, channel->terminal);
	wire_put_string(&writer, channel->term);
	wire_put_u32(&writer, channel->columns);
	wire_put_u32(&writer, channel->rows);
	wire_put_u32(&writer, channel->x_pixels);
	wire_put_u32(&writer, channel->y_pixels);
	wire_put_bytes(&writer, channel->modes, channel->modes_n);
	wire_put_u32(&writer, (uint32_t)channel->variables);
	for (size_t at = 0; at < channel->environment_n; at += strlen(channel->environment + at) + 1)
		wire_put_string(&writer, channel->environment + at);
	if (link_tell(&worker->link, WIRE_START, channel->number, 0, &writer) < 0)
		worker->broken = true;
	return 0;
}

/* ---- libssh's callbacks: 0 is yes, 1 is no; they run inside other calls of libssh and free nothing ---- */

static int on_exec(ssh_session session, ssh_channel ssh, const char *command, void *userdata)
{
	return channel_ask_start(userdata, KIND_EXEC, command);
}

static int on_shell(ssh_session session, ssh_channel ssh, void *userdata)
{
	return channel_ask_start(userdata, KIND_SHELL, "");
}

static int on_subsystem(ssh_session session, ssh_channel ssh, const char *name, void *userdata)
{
	Channel *channel = userdata;

	return channel_ask_start(channel, KIND_SUBSYSTEM, name);
}

static void channel_size(Channel *channel, int columns, int rows, int x_pixels, int y_pixels)
{
	channel->columns = (uint16_t)columns;
	channel->rows = (uint16_t)rows;
	channel->x_pixels = (uint16_t)x_pixels;
	channel->y_pixels = (uint16_t)y_pixels;
}

static int on_pty(ssh_session session, ssh_channel ssh, const char *term, int columns, int rows, int x_pixels,
	int y_pixels, void *userdata)
{
	Channel *channel = userdata;
	Slice modes = modes_of_request();

	if (channel->state != CHANNEL_OPEN || strlen(term) >= sizeof(channel->term) || channel->worker->no_terminal)
		return 1;
	channel->terminal = true;
	memcpy(channel->modes, modes.data, modes.n);
	channel->modes_n = modes.n;
	(void)snprintf(channel->term, sizeof(channel->term), "%s", term);
	channel_size(channel, columns, rows, x_pixels, y_pixels);
	return 0;
}

static int on_window_change(
	ssh_session session, ssh_channel ssh, int columns, int rows, int x_pixels, int y_pixels, void *userdata)
{
	Channel *channel = userdata;
	struct winsize size;

	if (!channel->terminal)
		return 1;
	channel_size(channel, columns, rows, x_pixels, y_pixels);
	if (channel->out_fd < 0)
		return 0; /* not born yet: channel_started() tells it */
	size = (struct winsize){ (uint16_t)channel->rows, (uint16_t)channel->columns, (uint16_t)channel->x_pixels,
		(uint16_t)channel->y_pixels };
	return ioctl(channel->out_fd, TIOCSWINSZ, &size) < 0;
}

static int on_environment(ssh_session session, ssh_channel ssh, const char *name, const char *value, void *userdata)
{
	Channel *channel = userdata;
	size_t name_n = strlen(name), value_n = strlen(value), n = name_n + value_n + 2;
	char *bigger, *at;

	if (channel->state != CHANNEL_OPEN || !name_n || strchr(name, '=') || n > KEEPER_ENVIRONMENT_BYTES)
		return 1;
	/* each costs its length field, too */
	if (channel->variables >= KEEPER_ENVIRONMENT_MAX ||
		channel->environment_n + n + (channel->variables + 1) * sizeof(uint32_t) > WIRE_ENVIRONMENT_TOTAL)
		return 1;
	bigger = realloc(channel->environment, channel->environment_n + n);
	if (!bigger)
		return 1;
	channel->environment = bigger;
	at = mempcpy(bigger + channel->environment_n, name, name_n);
	*at++ = '=';
	memcpy(at, value, value_n + 1);
	channel->environment_n += n;
	channel->variables++;
	return 0;
}

static void on_signal(ssh_session session, ssh_channel ssh, const char *name, void *userdata)
{
	Channel *channel = userdata;
	uint8_t buffer[64];
	WireWriter writer = { .data = buffer, .room = sizeof(buffer) };

	if ((channel->state != CHANNEL_STARTING && channel->state != CHANNEL_RUNNING) || strlen(name) > 16)
		return;
	wire_put_string(&writer, name);
	if (link_tell(&channel->worker->link, WIRE_SIGNAL, channel->number, 0, &writer) < 0)
		channel->worker->broken = true;
}

static int on_data(ssh_session session, ssh_channel ssh, void *data, uint32_t n, int is_stderr, void *userdata)
{
	return is_stderr ? (int)n : (int)pump_take(userdata, data, n);
}

static void on_eof(ssh_session session, ssh_channel ssh, void *userdata)
{
	Channel *channel = userdata;

	channel->client_eof = true;
}

static void on_close(ssh_session session, ssh_channel ssh, void *userdata)
{
	Channel *channel = userdata;

	channel->closed = true;
}

ssh_channel channel_on_open(ssh_session session, void *userdata)
{
	Worker *worker = userdata;
	Channel *channel;

	if (worker->n_channels + worker->n_openings >= ELEMENTSOF(worker->channels) || worker->no_more_sessions)
		return NULL;
	channel = calloc(1, sizeof(*channel));
	if (!channel)
		return NULL;
	channel->ssh = ssh_channel_new(session);
	if (!channel->ssh) {
		free(channel);
		return NULL;
	}
	channel->worker = worker;
	channel->number = ++worker->last_number;
	channel->in_fd = channel->out_fd = channel->err_fd = -EBADF;
	channel->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = channel,
		.channel_data_function = on_data,
		.channel_eof_function = on_eof,
		.channel_close_function = on_close,
		.channel_pty_request_function = on_pty,
		.channel_pty_window_change_function = on_window_change,
		.channel_env_request_function = on_environment,
		.channel_exec_request_function = on_exec,
		.channel_shell_request_function = on_shell,
		.channel_subsystem_request_function = on_subsystem,
		.channel_signal_function = on_signal,
	};
	ssh_callbacks_init(&channel->callbacks);
	(void)ssh_set_channel_callbacks(channel->ssh, &channel->callbacks);
	worker->channels[worker->n_channels++] = channel;
	return channel->ssh;
}

int channel_adopt_socket(Worker *worker, ssh_channel ssh, int fd)
{
	Channel *channel = calloc(1, sizeof(*channel));

	if (!channel) {
		fd_close(fd);
		return -ENOMEM;
	}
	channel->worker = worker;
	channel->ssh = ssh;
	channel->number = ++worker->last_number;
	channel->state = CHANNEL_RUNNING;
	channel->forwards = true;
	channel->in_fd = channel->out_fd = fd;
	channel->err_fd = -EBADF;
	channel->callbacks = (struct ssh_channel_callbacks_struct){
		.userdata = channel,
		.channel_data_function = on_data,
		.channel_eof_function = on_eof,
		.channel_close_function = on_close,
	};
	ssh_callbacks_init(&channel->callbacks);
	(void)ssh_set_channel_callbacks(channel->ssh, &channel->callbacks);
	worker->channels[worker->n_channels++] = channel;
	return 0;
}

void channel_discard(Channel *channel)
{
	pump_close_input(channel);
	pump_close_output(channel, false);
	pump_close_output(channel, true);
	free(channel->pending);
	free(channel->environment);
	free(channel->note);
	/* libssh 0.10 keeps a closed channel, and its list of callbacks, until the client's close comes */
	ssh_remove_channel_callbacks(channel->ssh, &channel->callbacks);
	ssh_channel_free(channel->ssh);
	free(channel);
}

/* ---- what the monitor says ---- */

void channel_started(Channel *channel, LinkMessage *message)
{
	if (channel->state != CHANNEL_STARTING || message->n_fds != (channel->terminal ? 1 : 3)) {
		channel->worker->broken = true;
		return;
	}
	for (size_t i = 0; i < message->n_fds; i++)
		if (fcntl(message->fds[i], F_SETFL, O_NONBLOCK) < 0) {
			channel->worker->broken = true;
			return;
		}
	channel->state = CHANNEL_RUNNING;
	if (channel->terminal) {
		channel->in_fd = channel->out_fd = TAKE_FD(message->fds[0]);
		(void)on_window_change(NULL, NULL, (int)channel->columns, (int)channel->rows, (int)channel->x_pixels,
			(int)channel->y_pixels, channel);
	} else {
		channel->in_fd = TAKE_FD(message->fds[0]);
		channel->out_fd = TAKE_FD(message->fds[1]);
		channel->err_fd = TAKE_FD(message->fds[2]);
	}
	if (channel->unread)
		pump_input(channel);
}

void channel_refused(Channel *channel, const LinkMessage *message)
{
	WireReader reader = { .at = message->payload, .left = message->header.length };

	channel_fail(channel, wire_get_string(&reader, WIRE_TEXT_MAX));
}

void channel_exited(Channel *channel, const LinkMessage *message)
{
	WireReader reader = { .at = message->payload, .left = message->header.length };
	const char *note;
	uint32_t flags;

	channel->state = CHANNEL_EXITED;
	channel->how = message->header.value;
	channel->code = wire_get_u32(&reader);
	flags = wire_get_u32(&reader);
	channel->core = flags & KEEPER_EXITED_CORE;
	channel->left = flags & KEEPER_EXITED_LEFT;
	note = wire_get_string(&reader, WIRE_TEXT_MAX);
	free(channel->note);
	channel->note = *note ? strdup(note) : NULL;
	channel->exited_usec = channel->heard_usec = clock_monotonic_usec();
	pump_close_input(channel);
}

/* ---- the end ---- */

static bool output_over(const Channel *channel, uint64_t now_usec)
{
	if (channel->out_fd < 0 && channel->err_fd < 0)
		return true;
	if (now_usec - channel->heard_usec < DRAIN_SILENCE_USEC && now_usec - channel->exited_usec < DRAIN_MOST_USEC)
		return false;
	if (channel->drained_n >= DRAIN_PIPE_MAX)
		return true;
	return (channel->out_fd < 0 || channel->out_dry) && (channel->err_fd < 0 || channel->err_dry);
}

/* A command may close its output and go on: who waits for the end of the stream is then told before the exit. */
static bool output_closed(const Channel *channel)
{
	return channel->state == CHANNEL_RUNNING && !channel->terminal && !channel->pending && channel->out_fd < 0 &&
	       channel->err_fd < 0;
}

uint64_t channel_deadline(const Channel *channel)
{
	uint64_t silence, most;

	if (channel->forwards)
		return UINT64_MAX;
	if (output_closed(channel) && !channel->eof_sent)
		return channel->silent_usec ? channel->silent_usec + SILENT_USEC : 0;
	if (channel->state != CHANNEL_EXITED)
		return UINT64_MAX;
	if (!pump_wants_output(channel, false) && !pump_wants_output(channel, true))
		return UINT64_MAX; /* the client must move first */
	silence = channel->heard_usec + DRAIN_SILENCE_USEC;
	most = channel->exited_usec + DRAIN_MOST_USEC;
	return silence < most ? silence : most;
}

/* Once: nothing may be written behind it. */
static void channel_end_output(Channel *channel)
{
	if (!channel->eof_sent)
		(void)ssh_channel_send_eof(channel->ssh);
	channel->eof_sent = true;
}

static void channel_send_note(Channel *channel)
{
	const char *note = channel->note;
	_cleanup_free_ char *line = NULL;
	int n;

	if (!note || !*note || channel->eof_sent || channel->noted)
		return;
	channel->noted = true; /* the text itself goes into the exit-signal, too */
	n = asprintf(&line, "%s%s", note, channel->terminal ? "\r\n" : "\n");
	if (n > 0)
		pump_send(channel, (const uint8_t *)line, (size_t)n, !channel->terminal);
}

static void channel_send_end(Channel *channel)
{
	if (channel->how == EXIT_STATUS) {
		(void)ssh_channel_request_send_exit_status(channel->ssh, (int)channel->code);
	} else if (channel->how == EXIT_SIGNAL) {
		const char *name = sigabbrev_np((int)channel->code);

		(void)ssh_channel_request_send_exit_signal(
			channel->ssh, name ? name : "KILL", channel->core, channel->note ? channel->note : "", "");
	}
	channel_end_output(channel);
	if (ssh_channel_close(channel->ssh) != SSH_OK || !channel->left)
		return;
	channel->left = false;
	if (link_tell(&channel->worker->link, WIRE_TOLD, channel->number, 0, NULL) < 0)
		channel->worker->broken = true;
}

/* The client closed it before it was told of an end: for it, the command and all that it started ran until now. */
static void channel_depart(Channel *channel)
{
	if (channel->departed || channel->state == CHANNEL_OPEN || (channel->state == CHANNEL_EXITED && !channel->left))
		return;
	channel_hang_up(channel);
}

bool channel_step(Channel *channel, uint64_t now_usec)
{
	if (channel->pending)
		pump_flush(channel);
	if (channel->closed) {
		channel_depart(channel);
		return true;
	}
	/* a terminal has no end of input but the one that is typed */
	if (channel->client_eof && !channel->terminal && channel->in_fd >= 0 && !channel->staged &&
		ssh_channel_poll(channel->ssh, 0) <= 0)
		pump_close_input(channel);

	if (output_closed(channel)) {
		if (!channel->silent_usec)
			channel->silent_usec = now_usec;
		if (now_usec - channel->silent_usec >= SILENT_USEC)
			channel_end_output(channel);
	}

	if (channel->state != CHANNEL_EXITED || channel->pending || !output_over(channel, now_usec))
		return false;
	channel_send_note(channel);
	if (channel->closed)
		channel_depart(channel);
	else if (!channel->pending)
		channel_send_end(channel);
	return channel->closed || !channel->pending;
}

/* SPDX-License-Identifier: MIT */
/*
 * Bytes between a channel and its process. The rules that keep both directions bounded and awake:
 *
 * - Output is read only while the client's window is open and libssh's send buffer is empty: that buffer has no bound of
 *   its own. What libssh does not take (a rekey is under way) is kept, and nothing is read before it is gone.
 * - Input that the process does not take stays in libssh, which then stops opening the window. Once we hold back, we
 *   take nothing until the pipe is writable again, so that no byte overtakes another.
 * - Callbacks run inside almost every call of libssh: nothing is freed in them.
 */
#include "sshd-sub/worker.h"
#include "shell/base/rate.h"
#include "sshd-sub/guard.h"
#include "sshd-sub/window.h"

#include <string.h>
#include <sys/socket.h>

bool pump_wants_output(const Channel *channel, bool is_stderr)
{
	int fd = is_stderr ? channel->err_fd : channel->out_fd;

	return fd >= 0 && !channel->pending && ssh_channel_window_size(channel->ssh) > 0;
}

size_t pump_held(const Channel *channel)
{
	return channel->held_n + (channel->staged ? channel->staged_n : 0);
}

void pump_close_input(Channel *channel)
{
	/* one socket for both directions: whichever ends last closes it */
	if (channel->forwards && channel->in_fd >= 0 && channel->out_fd >= 0)
		(void)shutdown(channel->in_fd, SHUT_WR);
	else if (!channel->terminal)
		(void)fd_close(channel->in_fd);
	channel->in_fd = -EBADF;
	channel->in_blocked = false;
	channel->unread = false;
	channel->held_n = 0;
	free(channel->staged);
	channel->staged = NULL;
	channel->staged_n = 0;
}

void pump_close_output(Channel *channel, bool is_stderr)
{
	if (is_stderr) {
		channel->err_fd = fd_close(channel->err_fd);
		return;
	}
	if (channel->forwards && channel->in_fd >= 0) {
		channel->out_fd = -EBADF;
		return;
	}
	if (channel->terminal)
		pump_close_input(channel);
	channel->out_fd = fd_close(channel->out_fd);
}

/* Returns what libssh took, or a negative number when the channel is broken. */
static int pump_write(const Channel *channel, const uint8_t *data, size_t n, bool is_stderr)
{
	int sent;

	guard_begin(n);
	sent = is_stderr ? ssh_channel_write_stderr(channel->ssh, data, (uint32_t)n)
			 : ssh_channel_write(channel->ssh, data, (uint32_t)n);
	guard_end();
	return sent;
}

void pump_send(Channel *channel, const uint8_t *data, size_t n, bool is_stderr)
{
	int sent = 0;

	if (!channel->pending) {
		sent = pump_write(channel, data, n, is_stderr);
		if (sent < 0) {
			channel->closed = true;
			return;
		}
	}
	if ((size_t)sent == n)
		return;
	channel->pending = malloc(n - (size_t)sent);
	if (!channel->pending) {
		channel->worker->broken = true;
		return;
	}
	memcpy(channel->pending, data + sent, n - (size_t)sent);
	channel->pending_n = n - (size_t)sent;
	channel->pending_at = 0;
	channel->pending_stderr = is_stderr;
}

void pump_flush(Channel *channel)
{
	const uint8_t *data = channel->pending + channel->pending_at;
	uint32_t n = (uint32_t)(channel->pending_n - channel->pending_at);
	int sent;

	if (!channel->pending || channel->closed)
		return;
	if (ssh_get_status(channel->worker->session) & SSH_WRITE_PENDING || !ssh_channel_window_size(channel->ssh))
		return;
	sent = pump_write(channel, data, n, channel->pending_stderr);
	if (sent < 0) {
		channel->closed = true;
		return;
	}
	channel->pending_at += (size_t)sent;
	if (channel->pending_at == channel->pending_n) {
		free(channel->pending);
		channel->pending = NULL;
	}
}

void pump_output(Channel *channel, bool is_stderr)
{
	Worker *worker = channel->worker;
	int fd = is_stderr ? channel->err_fd : channel->out_fd;
	size_t room = ssh_channel_window_size(channel->ssh);
	ssize_t n;

	if (!pump_wants_output(channel, is_stderr))
		return;
	n = read(fd, worker->chunk, room < sizeof(worker->chunk) ? room : sizeof(worker->chunk));
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0) { /* a terminal without processes says EIO */
		pump_close_output(channel, is_stderr);
		return;
	}
	if (channel->state == CHANNEL_EXITED) {
		channel->drained_n += (size_t)n;
		channel->heard_usec = clock_monotonic_usec();
	}
	if (!is_stderr)
		sftp_came(&channel->sftp, worker->chunk, (size_t)n);
	pump_send(channel, worker->chunk, (size_t)n, is_stderr);
	if (sftp_holds(&channel->sftp) && (channel->unread || channel->staged) && !channel->in_blocked)
		pump_input(channel);
}

/* Writes to the process. Returns how many bytes went; fewer than `n` when it must wait, for the pipe or for answers. */
static size_t feed(Channel *channel, const uint8_t *data, size_t n)
{
	size_t want = sftp_may_send(&channel->sftp, data, n);
	ssize_t written;

	if (!want)
		return 0;
	written = write(channel->in_fd, data, want);
	if (written < 0) {
		if (errno == EAGAIN || errno == EINTR) {
			channel->in_blocked = true;
			return 0;
		}
		pump_close_input(channel); /* it reads no more: the rest is nobody's; `data` may be gone */
		return n;
	}
	sftp_sent(&channel->sftp, data, (size_t)written);
	if ((size_t)written < want)
		channel->in_blocked = true;
	return (size_t)written;
}

uint32_t pump_take(Channel *channel, const uint8_t *data, uint32_t n)
{
	size_t taken;

	if (n > window_bound(channel)) /* a peer that ignores the window makes libssh 0.10 buffer all it sends */
		channel->worker->broken = true;
	channel->held_n = 0;
	if (channel->state > CHANNEL_STARTING && channel->in_fd < 0)
		return n;
	if (channel->state <= CHANNEL_STARTING || channel->in_blocked || channel->staged) {
		channel->unread = true;
		channel->held_n = n;
		return 0;
	}
	taken = feed(channel, data, n);
	channel->taken_n += taken;
	channel->unread = taken < n;
	channel->held_n = n - taken;
	return (uint32_t)taken;
}

/*
 * Takes all that libssh holds, at once: each read, however small, makes it open the window by up to 1.28 MB again, so
 * that many small ones would let its buffer grow without bound. Nothing more is taken before this is written.
 */
static int stage(Channel *channel)
{
	int held = ssh_channel_poll(channel->ssh, 0);
	uint8_t *data;
	int n;

	channel->unread = false;
	channel->held_n = 0;
	if (held <= 0)
		return 0;
	data = malloc((size_t)held);
	if (!data)
		return -ENOMEM;
	n = ssh_channel_read_nonblocking(channel->ssh, data, (uint32_t)held, 0);
	if (n <= 0) {
		free(data);
		return 0;
	}
	channel->staged = data;
	channel->staged_at = 0;
	channel->staged_n = (size_t)n;
	channel->taken_n += (size_t)n;
	return 0;
}

int pump_stage(Channel *channel, const uint8_t *data, size_t n)
{
	if (channel->in_fd < 0)
		return 0; /* it reads no more: the rest is nobody's */
	channel->staged = malloc(n);
	if (!channel->staged)
		return -ENOMEM;
	memcpy(channel->staged, data, n);
	channel->staged_at = 0;
	channel->staged_n = n;
	channel->taken_n += n;
	channel->unread = false;
	channel->held_n = 0;
	if (!channel->in_blocked)
		pump_input(channel);
	return 0;
}

void pump_input(Channel *channel)
{
	channel->in_blocked = false;
	for (;;) {
		if (channel->staged) {
			channel->staged_at += feed(
				channel, channel->staged + channel->staged_at, channel->staged_n - channel->staged_at);
			if (channel->in_fd < 0 || channel->staged_at < channel->staged_n)
				return;
			free(channel->staged);
			channel->staged = NULL;
		}
		if (channel->in_blocked || !channel->unread)
			return;
		if (stage(channel) < 0) {
			channel->worker->broken = true;
			return;
		}
	}
}

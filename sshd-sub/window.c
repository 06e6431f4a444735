/* SPDX-License-Identifier: MIT */
/*
 * libssh 0.10 lets a client send 1.28 MB ahead, and lets it go on when half of that is used: from 20 ms away it then
 * sends half as fast as to OpenSSH's server, which lets it send 2 MB ahead. There is no setting. But a read that asks for
 * more than the window and what is buffered makes libssh open the window to that size; with a timeout of 0 it gives what
 * there is. So much is asked for only when the client is far: near by, a large window is slower, because what is in flight
 * falls out of the processor's caches. 0.11 has 2 MB itself, and reads ahead no further for a larger read: nothing is won
 * or lost there.
 *
 * What a client may send ahead, its worker must be able to hold: WORKER_INPUT_MAX. So only a few channels have it.
 */
#include "sshd-sub/window.h"

#include <netinet/in.h>
#include <linux/tcp.h>
#include <string.h>
#include <sys/socket.h>

#define FAR_RTT_USEC 5000U
#define FAR_WINDOW (4U * 1024 * 1024)
#define FAR_AFTER (256U * 1024)   /* who sends less does not wait for the window */
#define FAR_STEP (FAR_WINDOW / 4) /* taken since the last time */
#define FAR_CHANNELS_MAX 4U

/* libssh's own window is below 1.3 MB. */
#define NEAR_BOUND (2U * 1024 * 1024)

size_t window_bound(const Channel *channel)
{
	return channel->far ? NEAR_BOUND + FAR_WINDOW : NEAR_BOUND;
}

static bool client_is_far(void)
{
	struct tcp_info info = { 0 };
	socklen_t size = sizeof(info);

	return getsockopt(WORKER_CONNECTION_FD, IPPROTO_TCP, TCP_INFO, &info, &size) == 0 &&
	       info.tcpi_rtt >= FAR_RTT_USEC;
}

static unsigned int count_far(const Worker *worker)
{
	unsigned int n = 0;

	for (size_t i = 0; i < worker->n_channels; i++)
		n += worker->channels[i]->far;
	return n;
}

void window_widen(Channel *channel)
{
	static uint8_t *buffer; /* its pages are never touched, but for the few bytes that libssh holds meanwhile */
	int n;

	if (channel->taken_n < (channel->far ? FAR_STEP : FAR_AFTER))
		return;
	if (channel->closed || channel->client_eof || channel->in_fd < 0)
		return;
	if (channel->in_blocked || channel->unread || channel->staged)
		return; /* the process is slower than the client: nothing is won */
	channel->taken_n = 0;
	if (!channel->far && (!client_is_far() || count_far(channel->worker) >= FAR_CHANNELS_MAX))
		return;
	if (!buffer)
		buffer = malloc(FAR_WINDOW);
	if (!buffer)
		return; /* slow, and right */
	channel->far = true;
	n = ssh_channel_read_timeout(channel->ssh, buffer, FAR_WINDOW, 0, 0);
	if (n <= 0)
		return;
	/* it came meanwhile, and the process did not take all of it: this is what is left, and next */
	if (pump_stage(channel, buffer, (size_t)n) < 0)
		channel->worker->broken = true;
}

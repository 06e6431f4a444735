/* SPDX-License-Identifier: MIT */
#include "tests/bench/fake-forward.h"
#include "shell/base/cleanup.h"
#include "shell/base/log.h"
#include "shell/bus/bus.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

/* As long as the real keeper gives a connector. */
#define CONNECT_USEC (3U * 1000U * 1000U)

typedef struct Forward {
	sd_bus_message *call;
	int fd;
	uint32_t port;
	sd_event_source *source, *timer;
} Forward;

static void forward_end(Forward *forward, int error)
{
	int r = error ? sd_bus_reply_method_errorf(
				forward->call, KEEPER_ERROR_FAILED, "port %u: %s", forward->port, strerror(error))
		      : sd_bus_reply_method_return(forward->call, "h", forward->fd);

	if (r < 0)
		log_error("cannot answer a forwarding");
	sd_event_source_disable_unref(forward->source);
	sd_event_source_disable_unref(forward->timer);
	sd_bus_message_unref(forward->call);
	fd_close(forward->fd);
	free(forward);
}

static int on_connected(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	socklen_t n = sizeof(int);
	int error = 0;

	(void)getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &n);
	forward_end(userdata, error);
	return 0;
}

static int on_late(sd_event_source *source, uint64_t usec, void *userdata)
{
	forward_end(userdata, ETIMEDOUT);
	return 0;
}

int fake_connect(sd_event *event, sd_bus_message *call, const char *host, uint32_t port, sd_bus_error *error)
{
	struct sockaddr_in address = { .sin_family = AF_INET };
	Forward *forward;
	int r;

	if (inet_pton(AF_INET, host, &address.sin_addr) != 1 || port == 9)
		return sd_bus_error_set(error, KEEPER_ERROR_DENIED, "only loopback, and not port 9");
	address.sin_port = htons((uint16_t)port);
	forward = calloc(1, sizeof(*forward));
	if (!forward)
		return -ENOMEM;
	*forward = (Forward){ .call = sd_bus_message_ref(call), .port = port };
	forward->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (connect(forward->fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		errno = 0;
	if (errno != EINPROGRESS) {
		forward_end(forward, errno);
		return 1;
	}
	r = sd_event_add_io(event, &forward->source, forward->fd, EPOLLOUT, on_connected, forward);
	if (r >= 0)
		r = sd_event_add_time_relative(
			event, &forward->timer, CLOCK_MONOTONIC, CONNECT_USEC, 0, on_late, forward);
	if (r < 0)
		forward_end(forward, -r);
	return 1;
}

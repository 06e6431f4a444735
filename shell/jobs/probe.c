/* SPDX-License-Identifier: MIT */
#include "shell/jobs/probe.h"
#include "shell/base/str.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#define STATUS_LINE_MAX 1024U /* bytes that are waited for */

typedef union Address {
	struct sockaddr any;
	struct sockaddr_in four;
	struct sockaddr_in6 six;
} Address;

bool probe_path_valid(const char *path)
{
	for (const char *c = path; *c; c++)
		if ((unsigned char)*c <= 0x20 || *c == 0x7f)
			return false;
	return *path == '/';
}

int probe_status(const char *bytes, size_t n)
{
	static const char begin[] = "HTTP/1.";
	size_t head = sizeof(begin) - 1;

	if (memcmp(bytes, begin, n < head ? n : head) != 0)
		return -EBADMSG;
	if (n < head + 5) /* "1 200" */
		return 0;
	if (!isdigit((unsigned char)bytes[head]) || bytes[head + 1] != ' ' || bytes[head + 2] < '1' ||
		bytes[head + 2] > '5' || !isdigit((unsigned char)bytes[head + 3]) ||
		!isdigit((unsigned char)bytes[head + 4]))
		return -EBADMSG;
	if (n == head + 5)
		return 0;
	if (!strchr(" \r\n", bytes[head + 5]) || !bytes[head + 5])
		return -EBADMSG;
	return (bytes[head + 2] - '0') * 100 + (bytes[head + 3] - '0') * 10 + (bytes[head + 4] - '0');
}

static int64_t now_msec(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* Returns 0, or -ETIMEDOUT. */
static int wait_for(int fd, short events, int64_t end)
{
	struct pollfd ready = { .fd = fd, .events = events };

	for (;;) {
		int64_t left = end - now_msec();
		int r = poll(&ready, 1, left > 0 ? (int)left : 0);

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

static socklen_t address_of(const Listener *at, Address *ret)
{
	bool any = listener_is_wildcard(at);

	memset(ret, 0, sizeof(*ret));
	if (at->family == AF_INET || (any && !at->only6)) {
		ret->four.sin_family = AF_INET;
		ret->four.sin_port = htons(at->port);
		ret->four.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
		if (!any)
			memcpy(&ret->four.sin_addr, at->address, sizeof(ret->four.sin_addr));
		return sizeof(ret->four);
	}
	ret->six.sin6_family = AF_INET6;
	ret->six.sin6_port = htons(at->port);
	ret->six.sin6_addr = in6addr_loopback;
	if (!any)
		memcpy(&ret->six.sin6_addr, at->address, sizeof(ret->six.sin6_addr));
	return sizeof(ret->six);
}

/* A connected socket, or a negative errno. */
static int connect_to(const Listener *at, int64_t end)
{
	Address address;
	socklen_t n = address_of(at, &address), size = sizeof(int);
	_cleanup_close_ int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int error = 0, r;

	if (fd < 0)
		return -errno;
	if (connect(fd, &address.any, n) < 0 && errno != EINPROGRESS)
		return -errno;
	r = wait_for(fd, POLLOUT, end);
	if (r < 0)
		return r;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) < 0)
		return -errno;
	return error ? -error : TAKE_FD(fd);
}

static int send_all(int fd, const char *bytes, size_t n, int64_t end)
{
	while (n) {
		ssize_t sent = send(fd, bytes, n, MSG_NOSIGNAL);

		if (sent > 0) {
			bytes += sent;
			n -= (size_t)sent;
		} else if (errno == EAGAIN) {
			int r = wait_for(fd, POLLOUT, end);

			if (r < 0)
				return r;
		} else if (errno != EINTR) {
			return -errno;
		}
	}
	return 0;
}

/* A status, -ETIMEDOUT, or another negative errno: no HTTP came. */
static int answer_read(int fd, int64_t end)
{
	char bytes[STATUS_LINE_MAX];
	size_t n = 0;
	int status = 0;

	while (status == 0) {
		ssize_t more;
		int r = n < sizeof(bytes) ? wait_for(fd, POLLIN, end) : -EBADMSG;

		if (r < 0)
			return r;
		more = recv(fd, bytes + n, sizeof(bytes) - n, 0);
		if (more == 0)
			return -EBADMSG;
		if (more < 0 && errno != EAGAIN && errno != EINTR)
			return -errno;
		n += more > 0 ? (size_t)more : 0;
		status = probe_status(bytes, n);
	}
	return status;
}

static Probe failed(int r, bool connected)
{
	if (r == -ECONNREFUSED)
		return (Probe){ .answer = PROBE_CLOSED };
	if (r == -ETIMEDOUT)
		return (Probe){ .answer = connected ? PROBE_SILENT : PROBE_CLOSED };
	if (connected)
		return (Probe){ .answer = PROBE_OTHER };
	return (Probe){ .answer = PROBE_NETWORK, .error = r };
}

Probe probe_ask(const Listener *at, const char *path, int timeout_msec)
{
	int64_t end = now_msec() + timeout_msec;
	_cleanup_close_ int fd = connect_to(at, end);
	_cleanup_free_ char *request = NULL;
	int r;

	if (fd < 0)
		return failed(fd, false);
	if (!path)
		return (Probe){ .answer = PROBE_OK };
	request = str_format("GET %s HTTP/1.1\r\nHost: localhost:%u\r\nUser-Agent: creel\r\nAccept: */*\r\nConnection: "
			     "close\r\n\r\n",
		path, at->port);
	r = request ? send_all(fd, request, strlen(request), end) : -ENOMEM;
	if (r == 0)
		r = answer_read(fd, end);
	if (r < 0)
		return failed(r, true);
	return (Probe){ .answer = r < 400 ? PROBE_OK : PROBE_STATUS, .status = (unsigned int)r };
}

const char *probe_words(const Probe *probe, const char *path, char *buffer, size_t size)
{
	const char *get = path ? "GET " : "", *of = path ? path : "", *colon = path ? ": " : "";

	switch (probe->answer) {
	case PROBE_OK:
	case PROBE_STATUS:
		if (probe->status)
			(void)snprintf(buffer, size, "%s%s%sanswered %u", get, of, colon, probe->status);
		else
			(void)snprintf(buffer, size, "takes connections");
		break;
	case PROBE_CLOSED:
		(void)snprintf(buffer, size, "%s%s%stakes no connections", get, of, colon);
		break;
	case PROBE_SILENT:
		(void)snprintf(buffer, size, "%s%s%sdoes not answer", get, of, colon);
		break;
	case PROBE_OTHER:
		(void)snprintf(buffer, size, "%s%s%sthe answer is no HTTP", get, of, colon);
		break;
	case PROBE_NETWORK:
		(void)snprintf(buffer, size, "%s%s%s%s", get, of, colon, strerror(-probe->error));
		break;
	}
	return buffer;
}

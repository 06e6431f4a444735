/* SPDX-License-Identifier: MIT */
#include "shell/bus/client.h"
#include "shell/bus/bus.h"
#include "shell/base/str.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define CALL_TIMEOUT_USEC (10 * UINT64_C(1000000))

static int socket_connect(uid_t uid, int *ret_fd)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), KEEPER_SOCKET_FORMAT, uid);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int keeper_connect(uid_t uid, sd_bus **ret)
{
	_cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	r = socket_connect(uid, &fd);
	if (r < 0)
		return r;
	r = sd_bus_new(&bus);
	if (r < 0)
		return r;
	r = sd_bus_set_fd(bus, fd, fd);
	if (r < 0)
		return r;
	TAKE_FD(fd);
	r = sd_bus_set_method_call_timeout(bus, CALL_TIMEOUT_USEC);
	if (r < 0)
		return r;
	r = sd_bus_start(bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

const char *keeper_failure(int r, const sd_bus_error *error, char *buffer, size_t size)
{
	if (error && error->message)
		return str_quote(error->message, strlen(error->message), buffer, size);
	if (r == -ENOENT)
		(void)snprintf(
			buffer, size, "there is no keeper for this user: it is no agent, or its policy is refused");
	else if (r == -EACCES || r == -EPERM)
		(void)snprintf(buffer, size, "the keeper's socket is not this user's");
	else if (r == -ECONNREFUSED || r == -ECONNRESET || r == -ENOTCONN)
		(void)snprintf(buffer, size, "the keeper does not answer (%s)", strerror(-r));
	else
		(void)snprintf(buffer, size, "%s", strerror(-r));
	return buffer;
}

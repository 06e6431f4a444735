/* SPDX-License-Identifier: MIT */
#include "shell/confine/view.h"

#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

int loopback_raise(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0)
		return -errno;
	return ioctl(fd, SIOCSIFFLAGS, &request) < 0 ? -errno : 0;
}

/* SPDX-License-Identifier: MIT */
/* What the targets of both ends of the keeper's bus share: they look at the log's lines and count descriptors themselves. */
#pragma once

#include "shell/base/log.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#define FDS_MAX 8U /* descriptors with one input: more than any message may carry */

static inline void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static inline unsigned int count_fds(void)
{
	DIR *folder_of_fds = opendir("/proc/self/fd");
	unsigned int n = 0;

	expect(folder_of_fds);
	while (readdir(folder_of_fds))
		n++;
	(void)closedir(folder_of_fds);
	return n;
}

/* In place of shell/base/log.c: what a peer said must have been quoted. */
void log_line(int level, const char *format, ...)
{
	char line[2048];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(line, sizeof(line), format, ap);
	va_end(ap);
	for (const char *c = line; *c; c++)
		expect(isprint((unsigned char)*c));
}

/* Not passing_send(), which refuses what a hostile peer sends. */
static inline void send_all(int fd, const uint8_t *data, size_t n, size_t n_fds)
{
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(FDS_MAX * sizeof(int))];
	} control = { 0 };
	struct iovec part = { .iov_base = (void *)data, .iov_len = n };
	struct msghdr message = { .msg_iov = &part, .msg_iovlen = 1 };
	int fds[FDS_MAX] = { 0 }; /* standard input, some times over */

	if (n_fds) {
		message.msg_control = control.space;
		message.msg_controllen = CMSG_SPACE(n_fds * sizeof(int));
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(n_fds * sizeof(int));
		memcpy(CMSG_DATA(&control.header), fds, n_fds * sizeof(int));
	}
	if (n)
		(void)!sendmsg(
			fd, &message, MSG_NOSIGNAL); /* what does not fit into the socket is cut: an input, too */
}

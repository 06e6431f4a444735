/* SPDX-License-Identifier: MIT */
/* What the targets of both ends of the keeper's bus share: they look at the log's lines and count descriptors themselves. */
#pragma once

#include "shell/base/log.h"

#include <ctype.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>

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

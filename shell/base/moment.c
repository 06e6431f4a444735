/* SPDX-License-Identifier: MIT */
#include "shell/base/moment.h"

#include <stdio.h>
#include <time.h>

#define SECOND UINT64_C(1000000)

const char *moment_utc(uint64_t usec, char buffer[static MOMENT_SIZE])
{
	time_t seconds = (time_t)(usec / SECOND);
	struct tm parts;

	if (!gmtime_r(&seconds, &parts) || !strftime(buffer, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%SZ", &parts))
		buffer[0] = '\0';
	return buffer;
}

const char *moment_local(uint64_t usec, char buffer[static MOMENT_SIZE])
{
	time_t seconds = (time_t)(usec / SECOND);
	struct tm parts;

	if (!localtime_r(&seconds, &parts) || !strftime(buffer, MOMENT_SIZE, "%Y-%m-%dT%H:%M:%S%z", &parts))
		(void)snprintf(buffer, MOMENT_SIZE, "?");
	return buffer;
}

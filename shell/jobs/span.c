/* SPDX-License-Identifier: MIT */
#include "shell/jobs/span.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <time.h>

#define DAY_USEC (24 * 3600 * USEC_PER_SEC)
#define SPAN_MAX (3660 * DAY_USEC)
#define DIGITS_MAX 12 /* of each side of the point: nothing overflows */

static const struct {
	const char *name;
	uint64_t usec;
} units[] = {
	{ "ms", 1000 },
	{ "s", USEC_PER_SEC },
	{ "sec", USEC_PER_SEC },
	{ "m", 60 * USEC_PER_SEC },
	{ "min", 60 * USEC_PER_SEC },
	{ "h", 3600 * USEC_PER_SEC },
	{ "d", DAY_USEC },
	{ "w", 7 * DAY_USEC },
};

/* One number and its unit, behind which `*text` is left. */
static int part_parse(const char **text, uint64_t *ret)
{
	const char *c = *text, *unit;
	uint64_t whole = 0, usec = USEC_PER_SEC, part = 0, scale = 1;
	size_t n;

	for (n = 0; isdigit((unsigned char)*c); c++, n++)
		whole = whole * 10 + (uint64_t)(*c - '0');
	if (n > DIGITS_MAX)
		return -ERANGE;
	if (n == 0)
		return -EINVAL;
	if (*c == '.') {
		for (c++, n = 0; isdigit((unsigned char)*c) && n < 6; c++, n++) {
			part = part * 10 + (uint64_t)(*c - '0');
			scale *= 10;
		}
		if (n == 0 || isdigit((unsigned char)*c))
			return -EINVAL;
	}
	unit = c;
	while (isalpha((unsigned char)*c))
		c++;
	n = (size_t)(c - unit);
	if (n) {
		usec = 0;
		for (size_t i = 0; i < ELEMENTSOF(units); i++)
			if (strlen(units[i].name) == n && strncmp(units[i].name, unit, n) == 0)
				usec = units[i].usec;
		if (!usec)
			return -EINVAL;
	}
	if (whole > SPAN_MAX / usec)
		return -ERANGE;
	*ret = whole * usec + part * usec / scale;
	*text = c;
	return 0;
}

int span_parse(const char *text, uint64_t *ret)
{
	uint64_t total = 0;

	if (!*text)
		return -EINVAL;
	while (*text) {
		uint64_t part;
		int r = part_parse(&text, &part);

		if (r < 0)
			return r;
		total += part;
		if (total > SPAN_MAX)
			return -ERANGE;
		while (*text == ' ')
			text++;
	}
	*ret = total;
	return 0;
}

const char *span_text(uint64_t usec, char *buffer, size_t size)
{
	unsigned long long seconds = usec / USEC_PER_SEC;

	if (usec == USEC_UNKNOWN)
		(void)snprintf(buffer, size, "-");
	else if (seconds < 10)
		(void)snprintf(
			buffer, size, "%llu.%llus", seconds, (unsigned long long)(usec / (USEC_PER_SEC / 10) % 10));
	else if (seconds < 60)
		(void)snprintf(buffer, size, "%llus", seconds);
	else if (seconds < 3600)
		(void)snprintf(buffer, size, "%llum %llus", seconds / 60, seconds % 60);
	else if (seconds < 24 * 3600)
		(void)snprintf(buffer, size, "%lluh %llum", seconds / 3600, seconds / 60 % 60);
	else
		(void)snprintf(buffer, size, "%llud %lluh", seconds / (24 * 3600), seconds / 3600 % 24);
	return buffer;
}

/* Seconds since 1970; false: it is no point of time. */
static bool is_time(uint64_t usec, time_t *ret)
{
	*ret = (time_t)(usec / USEC_PER_SEC);
	return usec != 0 && usec != USEC_UNKNOWN;
}

const char *when_text(uint64_t realtime_usec, char *buffer, size_t size)
{
	struct tm parts;
	time_t seconds;

	if (!is_time(realtime_usec, &seconds) || !localtime_r(&seconds, &parts) ||
		!strftime(buffer, size, "%Y-%m-%d %H:%M:%S", &parts))
		(void)snprintf(buffer, size, "-");
	return buffer;
}

const char *when_json(uint64_t realtime_usec, char *buffer, size_t size)
{
	struct tm parts;
	time_t seconds;

	if (!is_time(realtime_usec, &seconds) || !gmtime_r(&seconds, &parts) ||
		!strftime(buffer, size, "%Y-%m-%dT%H:%M:%SZ", &parts))
		buffer[0] = '\0';
	return buffer;
}

static uint64_t now(clockid_t clock)
{
	struct timespec time = { 0 };

	(void)clock_gettime(clock, &time);
	return (uint64_t)time.tv_sec * USEC_PER_SEC + (uint64_t)time.tv_nsec / 1000;
}

uint64_t now_realtime(void)
{
	return now(CLOCK_REALTIME);
}

uint64_t now_monotonic(void)
{
	return now(CLOCK_MONOTONIC);
}

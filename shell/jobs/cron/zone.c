/* SPDX-License-Identifier: MIT */
/*
 * The C library knows the zones; here its answers become a table, so that what is made of them is plain arithmetic.
 *
 * It is asked for each day, and between two days that differ for the minute. Two changes within one day that cancel each
 * other out are missed; no zone of this century has them. Seconds of an offset are cut; no zone of this century has them.
 */
#include "shell/jobs/cron/zone.h"
#include "shell/base/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define ZONES "/usr/share/zoneinfo/"
#define DAY (24 * 60)

static bool name_is_plain(const char *name)
{
	if (strlen(name) >= ZONE_NAME_MAX || !isalnum((unsigned char)*name) || strstr(name, ".."))
		return false;
	for (; *name; name++)
		if (!isalnum((unsigned char)*name) && !strchr("_+-/", *name))
			return false;
	return true;
}

bool zone_is_there(const char *name)
{
	char path[sizeof(ZONES) + ZONE_NAME_MAX], magic[4];
	_cleanup_close_ int fd = -EBADF;

	if (!*name)
		return true;
	if (!name_is_plain(name))
		return false;
	(void)snprintf(path, sizeof(path), ZONES "%s", name);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd >= 0 && read(fd, magic, sizeof(magic)) == (ssize_t)sizeof(magic) && memcmp(magic, "TZif", 4) == 0;
}

static int32_t ask(int64_t minute)
{
	time_t seconds = (time_t)minute * 60;
	struct tm tm;

	return localtime_r(&seconds, &tm) ? (int32_t)(tm.tm_gmtoff / 60) : 0;
}

static int add(Zone *zone, int64_t at, int32_t before, int32_t after)
{
	ZoneChange *changes;

	if (zone->n % 16 == 0) {
		changes = reallocarray(zone->changes, zone->n + 16, sizeof(*changes));
		if (!changes)
			return -ENOMEM;
		zone->changes = changes;
	}
	zone->changes[zone->n++] = (ZoneChange){ at, before, after };
	return 0;
}

static int fill(Zone *zone, int64_t from, int64_t to)
{
	int32_t offset = ask(from);
	int r;

	zone->first = offset;
	for (int64_t day = from + DAY; day < to + DAY; day += DAY) {
		int64_t low = day - DAY, high = day;
		int32_t after = ask(day);

		if (after == offset)
			continue;
		while (high - low > 1) {
			int64_t middle = low + (high - low) / 2;

			if (ask(middle) == offset)
				low = middle;
			else
				high = middle;
		}
		r = add(zone, high, offset, after);
		if (r < 0)
			return r;
		offset = after;
	}
	return 0;
}

int zone_load(const char *name, int64_t from, int64_t to, Zone **ret)
{
	_cleanup_(zone_freep) Zone *zone = NULL;
	_cleanup_free_ char *saved = NULL, *value = NULL;
	const char *now = getenv("TZ");
	int r;

	if (*name && !name_is_plain(name))
		return -EINVAL;
	if (!zone_is_there(name))
		return -ENOENT;
	/* the machine's is what the service manager takes, whatever TZ says in this session */
	value = *name ? str_format(":" ZONES "%s", name) : str_format(":/etc/localtime");
	saved = now ? strdup(now) : NULL;
	zone = calloc(1, sizeof(*zone));
	if (!value || (now && !saved) || !zone || setenv("TZ", value, 1) < 0)
		return -ENOMEM;
	tzset();
	r = fill(zone, from / 60, to / 60);
	if (saved ? setenv("TZ", saved, 1) < 0 : unsetenv("TZ") < 0)
		r = -ENOMEM;
	tzset();
	if (r < 0)
		return r;
	*ret = TAKE_PTR(zone);
	return 0;
}

Zone *zone_free(Zone *zone)
{
	if (zone) {
		free(zone->changes);
		free(zone);
	}
	return NULL;
}

const ZoneChange *zone_change(const Zone *zone, int64_t minute)
{
	const ZoneChange *found = NULL;

	for (size_t i = 0; i < zone->n && zone->changes[i].at <= minute; i++)
		found = &zone->changes[i];
	return found;
}

int32_t zone_offset(const Zone *zone, int64_t minute)
{
	const ZoneChange *change = zone_change(zone, minute);

	return change ? change->after : zone->first;
}

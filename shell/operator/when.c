/* SPDX-License-Identifier: MIT */
#include "shell/operator/when.h"
#include "shell/base/quantity.h"
#include "shell/base/str.h"

#include <string.h>
#include <time.h>

#define SECOND UINT64_C(1000000)
#define SECONDS_MAX UINT64_C(253402300799) /* the end of the year 9999 */

static int of_calendar(struct tm *tm, uint64_t *ret_usec)
{
	time_t seconds;

	tm->tm_isdst = -1;
	seconds = mktime(tm);
	if (seconds < 0)
		return -EINVAL;
	*ret_usec = (uint64_t)seconds * SECOND;
	return 0;
}

static int midnight(uint64_t now_usec, int days, uint64_t *ret_usec)
{
	time_t now = (time_t)(now_usec / SECOND);
	struct tm tm;

	if (!localtime_r(&now, &tm))
		return -EINVAL;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_mday += days;
	return of_calendar(&tm, ret_usec);
}

static bool is_real(const struct tm *tm, const struct tm *made)
{
	/* mktime(3) makes the 2nd of March of the 30th of February */
	return tm->tm_mday == made->tm_mday && tm->tm_mon == made->tm_mon;
}

int when_parse(const char *text, uint64_t now_usec, uint64_t *ret_usec)
{
	static const char *const forms[] = { "%Y-%m-%d", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M",
		"%Y-%m-%dT%H:%M:%S" };
	uint64_t value;

	if (strcmp(text, "now") == 0) {
		*ret_usec = now_usec;
		return 0;
	}
	if (strcmp(text, "today") == 0)
		return midnight(now_usec, 0, ret_usec);
	if (strcmp(text, "yesterday") == 0)
		return midnight(now_usec, -1, ret_usec);
	if (*text == '@' && str_to_u64(text + 1, SECONDS_MAX, &value) == 0) {
		*ret_usec = value * SECOND;
		return 0;
	}
	if (quantity_parse(QUANTITY_TIME, text, &value) == 0 && value < now_usec) {
		*ret_usec = now_usec - value;
		return 0;
	}
	for (size_t i = 0; i < ELEMENTSOF(forms); i++) {
		struct tm tm = { 0 }, made;
		const char *end = strptime(text, forms[i], &tm);

		if (!end || *end)
			continue;
		made = tm;
		if (of_calendar(&made, &value) < 0 || !is_real(&tm, &made))
			return -EINVAL;
		*ret_usec = value;
		return 0;
	}
	return -EINVAL;
}

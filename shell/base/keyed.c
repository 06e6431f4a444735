/* SPDX-License-Identifier: MIT */
#include "shell/base/keyed.h"
#include "shell/base/str.h"

#include <string.h>

/* The digits up to the end of the line or the next blank. */
static int number_parse(const char *text, uint64_t *ret)
{
	char digits[24];
	size_t n = strcspn(text, " \n");

	if (n >= sizeof(digits))
		return -EINVAL;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return str_to_u64(digits, UINT64_MAX, ret);
}

int keyed_u64(const char *text, const char *key, uint64_t *ret)
{
	size_t n = strlen(key);

	for (const char *line = text; line; line = strchr(line, '\n')) {
		if (*line == '\n')
			line++;
		if (strncmp(line, key, n) == 0 && line[n] == ' ')
			return number_parse(line + n + 1, ret);
	}
	return -ENODATA;
}

int cpu_max_parse(const char *text, uint64_t *ret)
{
	const char *blank = strchr(text, ' ');
	uint64_t quota, period;

	if (!blank || number_parse(blank + 1, &period) < 0 || !period)
		return -EINVAL;
	if (strncmp(text, "max ", 4) == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (number_parse(text, &quota) < 0)
		return -EINVAL;
	*ret = (uint64_t)((__uint128_t)quota * 1000000 / period);
	return 0;
}

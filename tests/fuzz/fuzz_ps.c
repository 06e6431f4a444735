/* SPDX-License-Identifier: MIT */
/* What /proc says of a process whose name and cgroup are the agent's to choose, and scripts that creel doctor looks into. */
#include "shell/jobs/process.h"
#include "shell/jobs/script-scan.h"

#include <stdint.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	_cleanup_free_ char *text = strndup((const char *)data, n), *copy = malloc(n + 1);
	ProcessStat stat;
	Where where;

	if (!text || !copy)
		return 0;
	where_parse(text, 1000, &where);
	expect(where.folder <= strlen(text));
	expect(strlen(where.name) < sizeof(where.name));
	if (where.kind == WHERE_RUN || where.kind == WHERE_SESSION || where.kind == WHERE_UNIT)
		expect(*where.name && !strchr(where.name, '/'));
	if (process_stat_parse(text, &stat) == 0)
		expect(stat.pid > 0 && strlen(stat.name) < sizeof(stat.name));
	/* without a NUL behind it */
	memcpy(copy, data, n);
	(void)script_lacks_backend(copy, n);
	return 0;
}

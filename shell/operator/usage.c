/* SPDX-License-Identifier: MIT */
/* The kernel's own numbers: what is enforced, not what was meant. */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/policy/enforced.h"

#include <fcntl.h>
#include <string.h>

static uint64_t read_number(int dir_fd, const char *file, uint64_t missing)
{
	char text[64];
	uint64_t value;

	if (file_get_at(dir_fd, file, text, sizeof(text)) < 0 || str_to_u64(text, UINT64_MAX - 1, &value) < 0)
		return missing;
	return value;
}

static uint64_t read_cpu_usage(int dir_fd)
{
	char text[1024];
	uint64_t value;

	if (file_get_at(dir_fd, "cpu.stat", text, sizeof(text)) < 0 || keyed_u64(text, "usage_usec", &value) < 0)
		return 0;
	return value;
}

static uint64_t read_cpu_limit(int dir_fd)
{
	uint64_t limit;
	char text[64];

	if (file_get_at(dir_fd, "cpu.max", text, sizeof(text)) < 0 || cpu_max_parse(text, &limit) < 0)
		return UINT64_MAX;
	return limit;
}

void usage_read(uid_t uid, LimitRow ret[static LIMIT_ROWS])
{
	_cleanup_close_ int fd = -EBADF;
	ProcessUsage processes;
	char path[96];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice", uid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ret[0] = (LimitRow){ "memory", "memory", UINT64_MAX, 0 };
	ret[1] = (LimitRow){ "swap", "swap", UINT64_MAX, 0 };
	ret[2] = (LimitRow){ "processes", "processes", UINT64_MAX, 0 };
	ret[3] = (LimitRow){ "cpu_usec", "cpu", UINT64_MAX, 0 };
	if (fd < 0)
		return;
	ret[0].limit = read_number(fd, "memory.max", UINT64_MAX);
	ret[0].used = read_number(fd, "memory.current", 0);
	ret[1].limit = read_number(fd, "memory.swap.max", UINT64_MAX);
	ret[1].used = read_number(fd, "memory.swap.current", 0);
	if (process_usage_read("", uid, &processes) < 0) {
		/* where the kernel does not count them, tasks stand in for them */
		processes.limit = read_number(fd, "pids.max", UINT64_MAX);
		processes.count = read_number(fd, "pids.current", 0);
	}
	ret[2].limit = processes.limit;
	ret[2].used = processes.count;
	ret[3].limit = read_cpu_limit(fd);
	ret[3].used = read_cpu_usage(fd);
}

static const char *number_text(uint64_t value, char buffer[static 24])
{
	if (value == UINT64_MAX)
		(void)snprintf(buffer, 24, "max");
	else
		(void)snprintf(buffer, 24, "%llu", (unsigned long long)value);
	return buffer;
}

static const char *limit_origin(const Policy *policy, const LimitRow *row)
{
	const char *section, *key, *origin, *found = "";
	bool enforced;
	char *value;

	for (size_t i = 0; policy && policy_row(policy, i, &section, &key, &value, &origin, &enforced); i++) {
		if (strcmp(section, "limits") == 0 && strcmp(key, row->key) == 0)
			found = origin;
		free(value);
	}
	/* all agents together leave the system its part */
	if (policy && strcmp(row->key, "memory") == 0 && row->limit < policy->memory)
		return "the machine's memory";
	return found;
}

Limit usage_row(const LimitRow *row, const Policy *policy, UsageText *text)
{
	return (Limit){
		.name = row->name,
		.limit = number_text(row->limit, text->limit),
		.use = number_text(row->used, text->use),
		.origin = limit_origin(policy, row),
	};
}

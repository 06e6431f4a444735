/* SPDX-License-Identifier: MIT */
/* The kernel's own numbers: what is enforced, not what was meant. */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"

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
	char path[96];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice", uid);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	ret[0] = (LimitRow){ "memory", "bytes", UINT64_MAX, 0 };
	ret[1] = (LimitRow){ "swap", "bytes", UINT64_MAX, 0 };
	ret[2] = (LimitRow){ "processes", "count", UINT64_MAX, 0 };
	ret[3] = (LimitRow){ "cpu", "usec", UINT64_MAX, 0 };
	if (fd < 0)
		return;
	ret[0].limit = read_number(fd, "memory.max", UINT64_MAX);
	ret[0].used = read_number(fd, "memory.current", 0);
	ret[1].limit = read_number(fd, "memory.swap.max", UINT64_MAX);
	ret[1].used = read_number(fd, "memory.swap.current", 0);
	ret[2].limit = read_number(fd, "pids.max", UINT64_MAX);
	ret[2].used = read_number(fd, "pids.current", 0);
	ret[3].limit = read_cpu_limit(fd);
	ret[3].used = read_cpu_usage(fd);
}

const char *usage_text(const LimitRow *row, uint64_t value, char *buffer, size_t size)
{
	if (strcmp(row->unit, "bytes") == 0 || value == UINT64_MAX)
		return str_size(value, buffer, size);
	if (strcmp(row->unit, "usec") == 0)
		(void)snprintf(buffer, size, "%.4g", (double)value / 1e6);
	else
		(void)snprintf(buffer, size, "%llu", (unsigned long long)value);
	return buffer;
}

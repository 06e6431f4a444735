/* SPDX-License-Identifier: MIT */
/*
 * Limits beside use, as the kernel has them now: the limit is read from the cgroup of the slice, or of the session that asks, not
 * from the policy, so that what is shown is what holds. The policy only tells where a number came from.
 */
#include "shell/keeper/keeper.h"
#include "shell/keeper/place.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/policy/enforced.h"

#include <stddef.h>
#include <string.h>

typedef struct LimitRow {
	const char *name, *limit_file, *use_file;
	const char *section, *key; /* of the policy */
} LimitRow;

static const LimitRow rows[] = {
	{ "memory", "memory.max", "memory.current", "limits", "memory" },
	{ "swap", "memory.swap.max", "memory.swap.current", "limits", "swap" },
	/* microseconds of CPU time: the limit a second, the use since boot */
	{ "cpu_usec", "cpu.max", "cpu.stat", "limits", "cpu" },
	{ "tasks", "pids.max", "pids.current", "limits", "tasks" },
};

/* Of the session that asks. */
static const LimitRow session_rows[] = {
	{ "session_memory", "memory.max", "memory.current", "limits", "session_memory" },
	{ "session_cpu_usec", "cpu.max", "cpu.stat", "limits", "session_cpu" },
	{ "session_tasks", "pids.max", "pids.current", "limits", "session_tasks" },
};

/*
 * Limits without a use of the whole agent: of each process, each file, or no number at all. A row that this version does
 * not enforce is not shown.
 */
typedef struct BoundRow {
	const char *name, *section, *key;
} BoundRow;

static const BoundRow bounds[] = {
	{ "file_size", "limits", "file_size" },
	{ "open_files", "limits", "open_files" },
	{ "io_weight", "limits", "io_weight" },
	{ "listen", "ports", "listen" },
	{ "forward", "ports", "forward" },
	{ "network", "network", "mode" },
	{ "bandwidth", "network", "max_bandwidth" },
	{ "allowed_hosts", "network", "allowed_hosts" },
};

static void number_text(int r, uint64_t value, char ret[static 24])
{
	if (r < 0)
		(void)snprintf(ret, 24, "?");
	else if (value == LEAF_UNLIMITED)
		(void)snprintf(ret, 24, "max");
	else
		(void)snprintf(ret, 24, "%llu", (unsigned long long)value);
}

static const char *origin(const Policy *policy, const char *section, const char *key)
{
	const char *row_section, *row_key, *row_origin;
	char *value;
	bool enforced;

	for (size_t i = 0; policy && policy_row(policy, i, &row_section, &row_key, &value, &row_origin, &enforced);
		i++) {
		free(value);
		if (strcmp(row_section, section) == 0 && strcmp(row_key, key) == 0)
			return row_origin;
	}
	return "";
}

/* The generator gives an agent no more memory than the machine has beside the operator's share. */
static const char *memory_origin(const Keeper *keeper, uint64_t limit, char *buffer, size_t size)
{
	const char *line = origin(keeper->policy, "limits", "memory");

	if (!keeper->policy || limit >= keeper->policy->memory)
		return line;
	(void)snprintf(buffer, size, "this machine has no more for agents; asked for by %s", line);
	return buffer;
}

static int append(sd_bus_message *reply, const char *name, const char *limit, const char *use, const char *source)
{
	return sd_bus_message_append(reply, "(ssss)", name, limit, use, source);
}

static int read_limit(int fd, const char *file, uint64_t *ret)
{
	char text[64];
	int r;

	if (strcmp(file, "cpu.max") != 0)
		return leaf_number(fd, file, ret);
	r = file_get_at(fd, file, text, sizeof(text));
	return r < 0 ? r : cpu_max_parse(text, ret);
}

static int read_use(int fd, const char *file, uint64_t *ret)
{
	return strcmp(file, "cpu.stat") == 0 ? leaf_keyed(fd, file, "usage_usec", ret) : leaf_number(fd, file, ret);
}

/* From the files of the folder `fd`. */
static int append_row(Keeper *keeper, sd_bus_message *reply, int fd, const LimitRow *row)
{
	const char *source = origin(keeper->policy, row->section, row->key);
	char limit[24], use[24], lowered[512];
	uint64_t value = 0;
	int r;

	r = read_limit(fd, row->limit_file, &value);
	number_text(r, value, limit);
	if (!r && strcmp(row->name, "memory") == 0)
		source = memory_origin(keeper, value, lowered, sizeof(lowered));
	r = read_use(fd, row->use_file, &value);
	number_text(r, value, use);
	return append(reply, row->name, limit, use, source);
}

/* Where the kernel does not count them, tasks stand in for them. */
static int append_processes(Keeper *keeper, sd_bus_message *reply)
{
	const char *source = origin(keeper->policy, "limits", "processes");
	char limit[24], use[24], uncounted[512];
	ProcessUsage usage = { 0 };
	int r;

	r = process_usage_read("", keeper->uid, &usage);
	if (r < 0) {
		(void)snprintf(uncounted, sizeof(uncounted), "%s; counted as tasks", source);
		source = uncounted;
		r = leaf_number(keeper->slice_fd, "pids.max", &usage.limit);
		if (r == 0)
			r = leaf_number(keeper->slice_fd, "pids.current", &usage.count);
	}
	number_text(r, usage.limit, limit);
	number_text(r, usage.count, use);
	return append(reply, "processes", limit, use, source);
}

static int append_sessions(Keeper *keeper, sd_bus_message *reply)
{
	char limit[24], use[24];

	number_text(keeper->policy ? 0 : -ENODATA, keeper->policy ? keeper->policy->sessions : 0, limit);
	number_text(0, keeper_count_sessions(keeper), use);
	return append(reply, "sessions", limit, use, origin(keeper->policy, "limits", "sessions"));
}

/* Numbers as such, not in the file's notation. */
static const char *bound_text(const Policy *policy, const char *name, const char *value, char number[static 24])
{
	static const struct {
		const char *name;
		size_t offset;
	} numbers[] = {
		{ "session_memory", offsetof(Policy, session_memory) },
		{ "session_tasks", offsetof(Policy, session_tasks) },
		{ "session_cpu_usec", offsetof(Policy, session_cpu) },
		{ "file_size", offsetof(Policy, file_size) },
		{ "bandwidth", offsetof(Policy, max_bandwidth) },
	};

	for (size_t i = 0; i < ELEMENTSOF(numbers); i++)
		if (strcmp(numbers[i].name, name) == 0) {
			number_text(0, *(const uint64_t *)((const char *)policy + numbers[i].offset), number);
			return number;
		}
	return *value ? value : "none";
}

static int append_bound(const Policy *policy, sd_bus_message *reply, const BoundRow *row)
{
	const char *section, *key, *source;
	bool enforced;
	char *text;
	int r = 0;

	for (size_t i = 0; r >= 0 && policy_row(policy, i, &section, &key, &text, &source, &enforced); i++) {
		_cleanup_free_ char *value = text;
		char number[24];

		if (!enforced || !value || strcmp(section, row->section) != 0 || strcmp(key, row->key) != 0)
			continue;
		r = append(reply, row->name, bound_text(policy, row->name, value, number), "-", source);
	}
	return r;
}

/* Who asks from outside of a session - a service of the agent's, the operator - is told what a session may use. */
static int append_session(Keeper *keeper, pid_t pid, sd_bus_message *reply)
{
	_cleanup_close_ int fd = -EBADF;
	char place[PLACE_SIZE];
	int r = 0;

	if (place_read(pid, keeper->uid, place) == 0 && leaf_open(keeper->slice_fd, place, &fd) < 0)
		fd = -EBADF; /* it ended just now */
	for (size_t i = 0; i < ELEMENTSOF(session_rows) && r >= 0; i++) {
		const LimitRow *row = &session_rows[i];

		if (fd >= 0)
			r = append_row(keeper, reply, fd, row);
		else if (keeper->policy)
			r = append_bound(keeper->policy, reply, &(BoundRow){ row->name, row->section, row->key });
	}
	return r;
}

static int append_disk(Keeper *keeper, sd_bus_message *reply)
{
	const char *line = origin(keeper->policy, "limits", "disk");
	char limit[24], use[24], lowered[512];
	DiskUse disk = { 0 };
	int k, r;

	k = keeper_disk(keeper, &disk);
	if (k == 0 && keeper->policy && disk.bytes_limit < keeper->policy->disk / 1024 * 1024) {
		(void)snprintf(lowered, sizeof(lowered), "this disk has no more for agents; asked for by %s", line);
		line = lowered;
	}
	number_text(k, disk.bytes_limit, limit);
	number_text(k, disk.bytes, use);
	r = append(reply, "disk", limit, use, line);
	number_text(k, disk.files_limit, limit);
	number_text(k, disk.files, use);
	return r < 0 ? r : append(reply, "files", limit, use, line);
}

static int append_transfer(Keeper *keeper, sd_bus_message *reply)
{
	static const char source[] = "this month, as of the last minute";
	uint64_t sent = 0, received = 0;
	char use[24];
	int k, r;

	k = keeper_transfer(keeper, &sent, &received);
	number_text(k, sent, use);
	r = append(reply, "sent", "max", use, source);
	number_text(k, received, use);
	return r < 0 ? r : append(reply, "received", "max", use, source);
}

int keeper_append_limits(Keeper *keeper, pid_t pid, sd_bus_message *reply)
{
	int r;

	r = sd_bus_message_open_container(reply, 'a', "(ssss)");
	for (size_t i = 0; i < ELEMENTSOF(rows) && r >= 0; i++)
		r = append_row(keeper, reply, keeper->slice_fd, &rows[i]);
	if (r >= 0)
		r = append_processes(keeper, reply);
	if (r >= 0)
		r = append_sessions(keeper, reply);
	if (r >= 0)
		r = append_session(keeper, pid, reply);
	for (size_t i = 0; i < ELEMENTSOF(bounds) && r >= 0 && keeper->policy; i++)
		r = append_bound(keeper->policy, reply, &bounds[i]);
	if (r >= 0)
		r = append_disk(keeper, reply);
	if (r >= 0)
		r = append_transfer(keeper, reply);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r;
}

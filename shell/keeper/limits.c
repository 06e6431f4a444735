/* SPDX-License-Identifier: MIT */
/*
 * Limits beside use, as the kernel has them now: the limit is read from the slice's cgroup, not from the policy, so that
 * what is shown is what holds. The policy only tells where a number came from.
 */
#include "shell/keeper/keeper.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"

#include <string.h>

typedef struct LimitRow {
	const char *name, *limit_file, *use_file;
	const char *section, *key; /* of the policy */
} LimitRow;

static const LimitRow rows[] = {
	{ "memory", "memory.max", "memory.current", "limits", "memory" },
	{ "swap", "memory.swap.max", "memory.swap.current", "limits", "swap" },
	{ "processes", "pids.max", "pids.current", "limits", "processes" },
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

static int append_cpu(Keeper *keeper, sd_bus_message *reply)
{
	char text[64], limit[24] = "max", use[24];
	uint64_t quota, used;
	int r;

	/* microseconds of CPU time in a period, both for the limit a second and for the use since boot */
	if (file_get_at(keeper->slice_fd, "cpu.max", text, sizeof(text)) == 0 && cpu_max_parse(text, &quota) == 0 &&
		quota != UINT64_MAX)
		number_text(0, quota, limit);
	r = leaf_keyed(keeper->slice_fd, "cpu.stat", "usage_usec", &used);
	number_text(r, used, use);
	return append(reply, "cpu_usec", limit, use, origin(keeper->policy, "limits", "cpu"));
}

static int append_sessions(Keeper *keeper, sd_bus_message *reply)
{
	char limit[24], use[24];

	number_text(keeper->policy ? 0 : -ENODATA, keeper->policy ? keeper->policy->sessions : 0, limit);
	number_text(0, keeper_count_sessions(keeper), use);
	return append(reply, "sessions", limit, use, origin(keeper->policy, "limits", "sessions"));
}

int keeper_append_limits(Keeper *keeper, sd_bus_message *reply)
{
	int r;

	r = sd_bus_message_open_container(reply, 'a', "(ssss)");
	for (size_t i = 0; i < ELEMENTSOF(rows) && r >= 0; i++) {
		uint64_t value = 0;
		char limit[24], use[24], lowered[512];
		const char *source = origin(keeper->policy, rows[i].section, rows[i].key);
		int k;

		k = leaf_number(keeper->slice_fd, rows[i].limit_file, &value);
		number_text(k, value, limit);
		if (!k && strcmp(rows[i].name, "memory") == 0)
			source = memory_origin(keeper, value, lowered, sizeof(lowered));
		k = leaf_number(keeper->slice_fd, rows[i].use_file, &value);
		number_text(k, value, use);
		r = append(reply, rows[i].name, limit, use, source);
	}
	if (r >= 0)
		r = append_cpu(keeper, reply);
	if (r >= 0)
		r = append_sessions(keeper, reply);
	if (r >= 0)
		r = sd_bus_message_close_container(reply);
	return r;
}

/* SPDX-License-Identifier: MIT */
/*
 * The keeper's rows `Limits`, which creel limits shows, too. Where it does not answer - it bounds how often it is asked - the
 * slice's own files and the file system tell most of it.
 */
#include "shell/jobs/meters.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/base/str.h"
#include "shell/bus/limit.h"
#include "shell/jobs/folders.h"

#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#define USEC_PER_PROCESSOR 1000000U

/* Rows of `Limits` that are meters, in the order of the picture. */
static const struct {
	const char *row, *name;
	MeterUnit unit;
	const char *way_out;
} kinds[] = {
	{ "memory", "memory", METER_BYTES,
		"creel ps shows who has it; creel stop NAME ends it; read large files in parts" },
	{ "swap", "swap", METER_BYTES, "as for memory: creel ps, creel stop NAME" },
	{ "cpu_usec", "cpu", METER_CPU, "creel ps --watch shows who takes it; creel stop NAME ends it" },
	{ "processes", "processes", METER_COUNT, "creel ps shows whose they are; creel stop NAME ends them" },
	{ "tasks", "tasks", METER_COUNT, "threads count, too: creel ps shows whose they are" },
	{ "disk", "disk", METER_BYTES, "du -xh ~ | sort -h | tail shows where it is; ~/.cache can go" },
	{ "files", "files", METER_COUNT, "du --inodes -x ~ | sort -n | tail shows where they are" },
	{ "sessions", "sessions", METER_COUNT, "creel ps --kind session shows them; creel stop ID ends one" },
	{ "session_memory", "login's memory", METER_BYTES,
		"what is to use more runs as a job: creel job start NAME -- COMMAND" },
	{ "session_tasks", "login's tasks", METER_COUNT,
		"what is to use more runs as a job: creel job start NAME -- COMMAND" },
};

static int slice_open(void)
{
	char path[96];

	(void)snprintf(path, sizeof(path), "/sys/fs/cgroup/user.slice/user-%u.slice", (unsigned int)getuid());
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static uint64_t slice_keyed(int fd, const char *file, const char *key)
{
	char text[4096];
	uint64_t value;

	if (fd < 0 || file_get_at(fd, file, text, sizeof(text)) < 0 || keyed_u64(text, key, &value) < 0)
		return UINT64_MAX;
	return value;
}

static uint64_t slice_number(int fd, const char *file)
{
	char text[64];
	uint64_t value;

	/* `max` is no number, and no limit */
	if (fd < 0 || file_get_at(fd, file, text, sizeof(text)) < 0 || str_to_u64(text, UINT64_MAX, &value) < 0)
		return UINT64_MAX;
	return value;
}

uint64_t meters_cpu_usec(void)
{
	_cleanup_close_ int fd = slice_open();

	return slice_keyed(fd, "cpu.stat", "usage_usec");
}

static void add(Meters *meters, size_t kind, uint64_t used, uint64_t limit)
{
	if (meters->n < METERS_MAX)
		meters->items[meters->n++] = (Meter){ kinds[kind].name, kinds[kind].unit, used, limit };
}

static uint64_t number_of(const char *text)
{
	uint64_t value;

	return str_to_u64(text, UINT64_MAX, &value) == 0 ? value : UINT64_MAX;
}

/* A processor more than the machine has is none. */
static uint64_t cpu_limit(uint64_t limit)
{
	uint64_t all = (uint64_t)sysconf(_SC_NPROCESSORS_ONLN) * USEC_PER_PROCESSOR;

	return limit < all ? limit : all;
}

static void take_row(Meters *meters, const Limit *row, uint64_t cpu_rate)
{
	uint64_t limit = number_of(row->limit), used = number_of(row->use);

	if (strcmp(row->name, "sent") == 0)
		meters->sent = used;
	else if (strcmp(row->name, "received") == 0)
		meters->received = used;
	else if (strcmp(row->name, "bandwidth") == 0)
		meters->bandwidth = limit;
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++) {
		if (strcmp(row->name, kinds[i].row) != 0)
			continue;
		/* a limit of nothing is not nearly full; one of a login alone that there is not is no news */
		if (limit == 0 ||
			(strncmp(row->name, "session_", 8) == 0 && (limit == UINT64_MAX || used == UINT64_MAX)))
			return;
		if (kinds[i].unit == METER_CPU)
			add(meters, i, cpu_rate, cpu_limit(limit));
		else
			add(meters, i, used, limit);
	}
}

static int ask_keeper(Meters *meters, uint64_t cpu_rate)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	Limit row;
	int r;

	r = limits_ask(getuid(), &reply, meters->keeper.text, sizeof(meters->keeper.text));
	if (r < 0)
		return r;
	r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
	while (r >= 0 && (r = sd_bus_message_read(reply, "(ssss)", &row.name, &row.limit, &row.use, &row.origin)) > 0)
		take_row(meters, &row, cpu_rate);
	return r < 0 ? reason_set(&meters->keeper, r, "%s", strerror(-r)) : 0;
}

static void read_files(Meters *meters, uint64_t cpu_rate)
{
	_cleanup_close_ int fd = slice_open();
	uint64_t cpu = UINT64_MAX;
	struct statvfs disk;
	char text[64];

	if (fd >= 0 && file_get_at(fd, "cpu.max", text, sizeof(text)) == 0 && cpu_max_parse(text, &cpu) < 0)
		cpu = UINT64_MAX;
	add(meters, 0, slice_number(fd, "memory.current"), slice_number(fd, "memory.max"));
	add(meters, 2, cpu_rate, cpu_limit(cpu));
	add(meters, 4, slice_number(fd, "pids.current"), slice_number(fd, "pids.max"));
	if (statvfs(home_folder(), &disk) == 0)
		add(meters, 5, (uint64_t)(disk.f_blocks - disk.f_bfree) * disk.f_frsize,
			(uint64_t)(disk.f_blocks - disk.f_bfree + disk.f_bavail) * disk.f_frsize);
}

void meters_read(uint64_t cpu_rate, Meters *ret)
{
	Meters meters = { .sent = UINT64_MAX, .received = UINT64_MAX, .bandwidth = UINT64_MAX };
	_cleanup_close_ int fd = slice_open();

	if (ask_keeper(&meters, cpu_rate) < 0) {
		meters.n = 0;
		read_files(&meters, cpu_rate);
	}
	meters.oom_kills = slice_keyed(fd, "memory.events", "oom_kill");
	*ret = meters;
}

int meter_percent(const Meter *meter)
{
	if (meter->used == UINT64_MAX || meter->limit == UINT64_MAX || meter->limit == 0)
		return -1;
	return (int)(100.0 * (double)meter->used / (double)meter->limit + 0.5);
}

MeterLevel meter_level(const Meter *meter)
{
	int percent = meter_percent(meter);

	return percent >= (int)METER_FULL_PERCENT   ? METER_FULL
	       : percent >= (int)METER_WARN_PERCENT ? METER_WARN
						    : METER_OK;
}

static const char *number_text(MeterUnit unit, uint64_t value, char *buffer, size_t size)
{
	if (value == UINT64_MAX)
		(void)snprintf(buffer, size, "?");
	else if (unit == METER_BYTES)
		return str_size(value, buffer, size);
	else if (unit == METER_CPU)
		(void)snprintf(buffer, size, "%.3g", (double)value / USEC_PER_PROCESSOR);
	else
		(void)snprintf(buffer, size, "%llu", (unsigned long long)value);
	return buffer;
}

const char *meter_text(const Meter *meter, char *buffer, size_t size)
{
	const char *unit = meter->unit == METER_CPU ? " processors" : "";
	char used[32], limit[32];

	(void)number_text(meter->unit, meter->used, used, sizeof(used));
	if (meter->limit == UINT64_MAX)
		(void)snprintf(buffer, size, "%s%s, no limit", used, unit);
	else
		(void)snprintf(buffer, size, "%s of %s%s", used,
			number_text(meter->unit, meter->limit, limit, sizeof(limit)), unit);
	return buffer;
}

const char *meter_way_out(const Meter *meter)
{
	for (size_t i = 0; i < ELEMENTSOF(kinds); i++)
		if (strcmp(kinds[i].name, meter->name) == 0)
			return kinds[i].way_out;
	return "";
}

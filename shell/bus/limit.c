/* SPDX-License-Identifier: MIT */
#include "shell/bus/limit.h"
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"

#include <string.h>

typedef enum LimitUnit { UNIT_COUNT, UNIT_BYTES, UNIT_RATE, UNIT_CPU, UNIT_TEXT } LimitUnit;

static const struct {
	const char *word; /* in JSON */
	const char *of;   /* behind a limit that is one: what it is a limit of */
} units[] = {
	[UNIT_COUNT] = { "count", "" },
	[UNIT_BYTES] = { "bytes", "" },
	[UNIT_RATE] = { "bytes/s", "/s" },
	[UNIT_CPU] = { "usec", "/s" }, /* CPU time used so far, and how much may be used in each second */
	[UNIT_TEXT] = { "text", "" },
};

/* Rows that are not here are counts. */
static const struct {
	const char *name;
	LimitUnit unit;
	const char *shown; /* NULL: the name itself */
} names[] = {
	{ "memory", UNIT_BYTES, NULL },
	{ "swap", UNIT_BYTES, NULL },
	{ "cpu_usec", UNIT_CPU, "cpu" },
	{ "disk", UNIT_BYTES, NULL },
	{ "file_size", UNIT_BYTES, NULL },
	{ "session_memory", UNIT_BYTES, NULL },
	{ "session_cpu_usec", UNIT_CPU, "session_cpu" },
	{ "bandwidth", UNIT_RATE, NULL },
	{ "sent", UNIT_BYTES, NULL },
	{ "received", UNIT_BYTES, NULL },
	{ "listen", UNIT_TEXT, NULL },
	{ "forward", UNIT_TEXT, NULL },
	{ "network", UNIT_TEXT, NULL },
	{ "allowed_hosts", UNIT_TEXT, NULL },
};

static LimitUnit unit_of(const char *name, const char **ret_shown)
{
	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		if (strcmp(names[i].name, name) != 0)
			continue;
		*ret_shown = names[i].shown ? names[i].shown : name;
		return names[i].unit;
	}
	*ret_shown = name;
	return UNIT_COUNT;
}

const char *limit_number(const char *name, const char *number, char *buffer, size_t size)
{
	const char *shown;
	LimitUnit unit = unit_of(name, &shown);
	uint64_t value;

	if (unit == UNIT_TEXT || str_to_u64(number, UINT64_MAX - 1, &value) < 0)
		(void)snprintf(buffer, size, "%s", number);
	else if (unit == UNIT_BYTES || unit == UNIT_RATE)
		return str_size(value, buffer, size);
	else if (unit == UNIT_CPU)
		(void)snprintf(buffer, size, "%.4gs", (double)value / 1e6);
	else
		(void)snprintf(buffer, size, "%llu", (unsigned long long)value);
	return buffer;
}

void limit_show_head(FILE *file)
{
	(void)fprintf(file, "%-18s %10s %10s    %s\n", "LIMIT", "USED", "OF", "FROM");
}

void limit_show(FILE *file, const Limit *row)
{
	const char *shown, *of;
	LimitUnit unit = unit_of(row->name, &shown);
	char used[64], limit[512];
	uint64_t number;

	of = str_to_u64(row->limit, UINT64_MAX - 1, &number) == 0 ? units[unit].of : "";
	(void)fprintf(file, "%-18s %10s %10s%-2s  %s\n", shown, limit_number(row->name, row->use, used, sizeof(used)),
		limit_number(row->name, row->limit, limit, sizeof(limit)), of, row->origin);
}

/* Numbers are numbers; no limit, and nothing to count, is null. */
static void write_number(FILE *file, bool *first, const char *key, const char *number)
{
	bool none = strcmp(number, "max") == 0 || strcmp(number, "-") == 0;
	uint64_t value;

	if (str_to_u64(number, UINT64_MAX - 1, &value) == 0)
		json_number(file, first, key, value);
	else
		json_text(file, first, key, none ? NULL : number);
}

void limit_write(FILE *file, const Limit *row)
{
	const char *shown;
	LimitUnit unit = unit_of(row->name, &shown);
	bool first = true;

	(void)fputc('{', file);
	json_text(file, &first, "name", shown);
	json_text(file, &first, "unit", units[unit].word);
	if (unit == UNIT_TEXT)
		json_text(file, &first, "limit", row->limit);
	else
		write_number(file, &first, "limit", row->limit);
	write_number(file, &first, "used", row->use);
	json_text(file, &first, "origin", row->origin);
	(void)fputc('}', file);
}

int limits_print(FILE *file, sd_bus_message *reply, bool json)
{
	bool first = true;
	Limit row;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
	if (r < 0)
		return r;
	if (json)
		(void)fputc('[', file);
	else
		limit_show_head(file);
	while ((r = sd_bus_message_read(reply, "(ssss)", &row.name, &row.limit, &row.use, &row.origin)) > 0) {
		if (!json) {
			limit_show(file, &row);
			continue;
		}
		(void)fputs(first ? "" : ",\n", file);
		first = false;
		limit_write(file, &row);
	}
	if (r < 0)
		return r;
	if (json)
		(void)fputc(']', file);
	r = sd_bus_message_exit_container(reply);
	return r < 0 ? r : 0;
}

int limits_ask(uid_t uid, sd_bus_message **ret, char *why, size_t why_size)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	int r;

	r = keeper_connect(uid, &bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Limits", &error, ret, "");
	if (r < 0) {
		(void)keeper_failure(r, &error, why, why_size);
		return r;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* creel: the agent's command. It holds no privilege: what it shows, the agent's keeper told it. */
#include "shell/base/json.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"

#include <string.h>

#define EXIT_USAGE 2

static void print_help(FILE *file)
{
	(void)fprintf(file, "usage:\n"
			    "  creel limits [--json]\n"
			    "      what you may use, and what you use now\n"
			    "  creel help | --version\n"
			    "see creel(1)\n");
}

/* The keeper gives plain numbers; the name tells their unit. */
static const char *number_text(const char *name, const char *number, char *buffer, size_t size)
{
	uint64_t value;

	if (str_to_u64(number, UINT64_MAX - 1, &value) < 0)
		(void)snprintf(buffer, size, "%s", number);
	else if (strcmp(name, "memory") == 0 || strcmp(name, "swap") == 0)
		return str_size(value, buffer, size);
	else if (strcmp(name, "cpu_usec") == 0)
		(void)snprintf(buffer, size, "%.4gs", (double)value / 1e6);
	else
		(void)snprintf(buffer, size, "%llu", (unsigned long long)value);
	return buffer;
}

/* CPU: seconds used so far, and how many may be used in each second. */
static void show_row(const char *name, const char *limit, const char *use, const char *origin)
{
	bool cpu = strcmp(name, "cpu_usec") == 0;
	char used[32], of[32];

	(void)printf("%-12s %10s %10s%s  %s\n", cpu ? "cpu" : name, number_text(name, use, used, sizeof(used)),
		number_text(name, limit, of, sizeof(of)), cpu && strcmp(limit, "max") != 0 ? "/s" : "  ", origin);
}

static void put_number(bool *first, const char *key, const char *number)
{
	uint64_t value;

	if (str_to_u64(number, UINT64_MAX - 1, &value) == 0)
		json_number(stdout, first, key, value);
	else
		json_text(stdout, first, key, strcmp(number, "max") == 0 ? NULL : number);
}

static int show_limits(sd_bus_message *reply, bool json)
{
	const char *name, *limit, *use, *origin;
	bool first_row = true;
	int r;

	r = sd_bus_message_enter_container(reply, 'a', "(ssss)");
	if (r < 0)
		return r;
	if (json)
		(void)fputc('[', stdout);
	else
		(void)printf("%-12s %10s %10s    %s\n", "LIMIT", "USED", "OF", "FROM");
	while ((r = sd_bus_message_read(reply, "(ssss)", &name, &limit, &use, &origin)) > 0) {
		bool first = true;

		if (!json) {
			show_row(name, limit, use, origin);
			continue;
		}
		(void)fputs(first_row ? "{" : ",\n{", stdout);
		first_row = false;
		json_text(stdout, &first, "name", name);
		put_number(&first, "limit", limit);
		put_number(&first, "used", use);
		json_text(stdout, &first, "origin", origin);
		(void)fputc('}', stdout);
	}
	if (r < 0)
		return r;
	if (json)
		(void)fputs("]\n", stdout);
	return sd_bus_message_exit_container(reply);
}

static int limits_main(int argc, char **argv)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_flush_close_unrefp) sd_bus *bus = NULL;
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
	char why[512];
	int r;

	if (argc > json) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	r = keeper_connect(getuid(), &bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Limits", &error, &reply, "");
	if (r >= 0)
		r = show_limits(reply, json);
	if (r < 0) {
		(void)fprintf(stderr, "creel: limits: %s\n", keeper_failure(r, &error, why, sizeof(why)));
		return EXIT_FAILURE;
	}
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

int main(int argc, char **argv)
{
	if (argc >= 2 && strcmp(argv[1], "limits") == 0)
		return limits_main(argc - 2, argv + 2);
	if (argc == 2 && (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0)) {
		print_help(stdout);
		return EXIT_SUCCESS;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("creel %s\n", CREEL_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc >= 2)
		(void)fprintf(stderr, "creel: unknown command\n");
	print_help(stderr);
	return EXIT_USAGE;
}

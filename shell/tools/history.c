/* SPDX-License-Identifier: MIT */
/* creel history: what the record says of the agent that asks. The keeper has it read, and shows nobody another's. */
#include "shell/base/quantity.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"
#include "shell/bus/bus.h"
#include "shell/bus/client.h"
#include "shell/tools/commands.h"

#include <string.h>

#define COUNT_DEFAULT 50U
#define COUNT_MAX 1000000U

typedef struct Asked {
	const char *kind, *session;
	uint64_t count, since_usec;
	bool json;
} Asked;

static int usage(void)
{
	(void)fprintf(
		stderr, "usage: creel history [-n N|all] [--kind KIND] [--session ID] [--since 15m|2h|7d] [--json]\n");
	return EXIT_USAGE;
}

static int read_count(const char *text, uint64_t *ret)
{
	if (strcmp(text, "all") != 0)
		return str_to_u64(text, COUNT_MAX, ret);
	*ret = UINT64_MAX;
	return 0;
}

static int read_since(const char *text, uint64_t *ret)
{
	uint64_t ago, now = clock_realtime_usec();

	if (quantity_parse(QUANTITY_TIME, text, &ago) < 0)
		return -EINVAL;
	*ret = ago < now ? now - ago : 0;
	return 0;
}

static int read_words(int argc, char **argv, Asked *ret)
{
	Asked asked = { .kind = "", .session = "", .count = COUNT_DEFAULT };

	for (int i = 0; i < argc; i++) {
		const char *next = i + 1 < argc ? argv[i + 1] : NULL;

		if (strcmp(argv[i], "--json") == 0) {
			asked.json = true;
			continue;
		}
		if (!next)
			return -EINVAL;
		i++;
		if (strcmp(argv[i - 1], "--kind") == 0)
			asked.kind = next;
		else if (strcmp(argv[i - 1], "--session") == 0)
			asked.session = next;
		else if ((strcmp(argv[i - 1], "-n") != 0 || read_count(next, &asked.count) < 0) &&
			 (strcmp(argv[i - 1], "--since") != 0 || read_since(next, &asked.since_usec) < 0))
			return -EINVAL;
	}
	*ret = asked;
	return 0;
}

/* Returns 0; -ENODATA: what came is not all (shell/creel-history.c); or another negative errno. */
static int copy_out(int fd)
{
	char buffer[16384];
	bool all = false;
	ssize_t n;

	while ((n = read(fd, buffer, sizeof(buffer))) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (buffer[n - 1] == '\0') {
			all = true;
			n--;
		}
		if (fwrite(buffer, 1, (size_t)n, stdout) != (size_t)n)
			return -EIO;
	}
	if (fflush(stdout) != 0)
		return -errno;
	return all ? 0 : -ENODATA;
}

int history_main(int argc, char **argv)
{
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL;
	Asked asked;
	char why[512];
	int r, fd;

	if (read_words(argc, argv, &asked) < 0)
		return usage();
	r = keeper_connect(getuid(), &bus);
	if (r >= 0)
		r = sd_bus_call_method(bus, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "History", &error, &reply, "bttss",
			asked.json, asked.since_usec, asked.count, asked.kind, asked.session);
	if (r >= 0)
		r = sd_bus_message_read(reply, "h", &fd);
	if (r >= 0)
		r = copy_out(fd);
	if (r == -ENODATA) {
		(void)fprintf(stderr, "creel: history: this is not all: it took more than a minute to read; ask for "
				      "less, by --since, "
				      "--kind, --session or -n\n");
		return EXIT_FAILURE;
	}
	if (r < 0) {
		(void)fprintf(stderr, "creel: history: %s\n", keeper_failure(r, &error, why, sizeof(why)));
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

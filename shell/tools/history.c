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

static int usage(FILE *file)
{
	(void)fprintf(file,
		"usage: creel history [-n N|all] [--kind KIND] [--session ID] [--since 15m|2h|7d] [--json]\n"
		"  -n         the last N records, 50 without; all of them\n"
		"  --kind     of one kind: login, command, run, refusal, ...\n"
		"  --session  of one login\n"
		"  --since    not older than that\n"
		"  --json     one object a line\n");
	return file == stdout ? EXIT_SUCCESS : EXIT_USAGE;
}

/* Returns -EINVAL. */
static int refuse(const char *word, const char *why)
{
	char shown[96];

	(void)fprintf(stderr, "creel: history: %s: %s\n", str_quote(word, strlen(word), shown, sizeof(shown)), why);
	return -EINVAL;
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

/* One option with its value. */
static int read_option(const char *option, const char *value, Asked *asked)
{
	const bool count = strcmp(option, "-n") == 0, since = strcmp(option, "--since") == 0;

	if (strcmp(option, "--kind") != 0 && strcmp(option, "--session") != 0 && !count && !since)
		return refuse(option, "there is no such option");
	if (!value)
		return refuse(option, "its value is missing");
	if (count && read_count(value, &asked->count) < 0)
		return refuse(value, "-n takes a number up to 1000000, or all");
	if (since && read_since(value, &asked->since_usec) < 0)
		return refuse(value, "--since takes how long ago, as in 15m, 2h, 7d");
	if (strcmp(option, "--kind") == 0)
		asked->kind = value;
	else if (strcmp(option, "--session") == 0)
		asked->session = value;
	return 0;
}

static int read_words(int argc, char **argv, Asked *ret)
{
	Asked asked = { .kind = "", .session = "", .count = COUNT_DEFAULT };
	int r;

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--json") == 0) {
			asked.json = true;
			continue;
		}
		r = read_option(argv[i], i + 1 < argc ? argv[i + 1] : NULL, &asked);
		if (r < 0)
			return r;
		i++;
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

	if (argc == 1 && (strcmp(argv[0], "--help") == 0 || strcmp(argv[0], "-h") == 0))
		return usage(stdout);
	if (read_words(argc, argv, &asked) < 0)
		return usage(stderr);
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

/* SPDX-License-Identifier: MIT */
/*
 * What it costs to execute code, one way beside the other, taking turns: in the agent VM, as root.
 *
 *   bench-runs USER ROUNDS [here | import | many RUNS | fair | mcp]
 *
 * here: only the ways that need neither creel nor systemd, on any machine with bwrap. CREEL_NODE: Node, where it is not
 * /usr/bin/node; the policy's, so that all ways have the same.
 *
 * Each way ends when all output of the code was read and its end is known. Prints one line a way: its name, a tab, and the
 * time of each round in microseconds. tests/bench/bench-runs.py makes a table of them; its head says what each way is.
 */
#include "tests/bench/bench-ways.h"

#include <pwd.h>
#include <string.h>

#define AT_ONCE 20
#define ROUNDS_MAX 10000U
#define NODE "/usr/bin/node"

typedef struct Way {
	const char *name;
	int (*once)(Bench *bench, const struct Way *way);
	const char *language, *code;
	const char *argv[6];    /* of the interpreter */
	const char *before[24]; /* executes it */
	bool independent;
	bool import; /* pandas, which a prepared interpreter has */
	bool agent;  /* as the agent; else as root */
	const char *session;
} Way;

static int once_spawn(Bench *bench, const Way *way)
{
	const char *argv[ELEMENTSOF(way->before) + ELEMENTSOF(way->argv)], *node = getenv("CREEL_NODE");
	size_t n = 0;

	for (size_t i = 0; i < ELEMENTSOF(way->before) && way->before[i]; i++)
		argv[n++] = way->before[i];
	for (size_t i = 0; i < ELEMENTSOF(way->argv) && way->argv[i]; i++)
		argv[n++] = node && strcmp(way->argv[i], NODE) == 0 ? node : way->argv[i];
	argv[n] = NULL;
	return bench_spawn(bench, argv, way->agent);
}

static int once_run(Bench *bench, const Way *way)
{
	RunOptions options = RUN_OPTIONS_NONE;

	options.language = way->language;
	options.independent = way->independent;
	options.session = way->session ? way->session : "";
	return bench_run(bench, &options, way->code);
}

static int once_loop(Bench *bench, const Way *way)
{
	return bench_loop(bench, way->code);
}

#define IMPORT "import pandas"
#define BWRAP                                                                                                   \
	"bwrap", "--ro-bind", "/", "/", "--dev", "/dev", "--proc", "/proc", "--tmpfs", "/tmp", "--unshare-pid", \
		"--unshare-ipc", "--unshare-uts", "--unshare-net", "--die-with-parent"
#define SYSTEMD_RUN "systemd-run", "--user", "--wait", "--pipe", "--quiet"
#define FOUR_WAYS(language_, argv_0, argv_1, code_)                                                             \
	{ .name = language_ " plain", .once = once_spawn, .argv = { argv_0, argv_1, code_ }, .agent = true },   \
		{ .name = language_ " bwrap",                                                                   \
			.once = once_spawn,                                                                     \
			.argv = { argv_0, argv_1, code_ },                                                      \
			.before = { BWRAP } },                                                                  \
		{ .name = language_ " systemd-run",                                                             \
			.once = once_spawn,                                                                     \
			.argv = { argv_0, argv_1, code_ },                                                      \
			.before = { SYSTEMD_RUN },                                                              \
			.agent = true },                                                                        \
		{ .name = language_ " creel", .once = once_run, .language = language_, .code = code_ },         \
	{                                                                                                       \
		.name = language_ " creel independent", .once = once_run, .language = language_, .code = code_, \
		.independent = true                                                                             \
	}

static const Way ways[] = {
	FOUR_WAYS("bash", "/bin/bash", "-c", ":"),
	FOUR_WAYS("python", "/usr/bin/python3", "-c", "pass"),
	FOUR_WAYS("javascript", NODE, "-e", "0"),
	{ .name = "import plain",
		.once = once_spawn,
		.argv = { "/usr/bin/python3", "-c", IMPORT },
		.agent = true,
		.import = true },
	{ .name = "import creel independent",
		.once = once_run,
		.language = "python",
		.code = IMPORT,
		.independent = true,
		.import = true },
	{ .name = "loop plain", .once = once_loop, .code = "pass" },
	{ .name = "loop creel", .once = once_run, .language = "python", .code = "pass", .session = "bench" },
};

static bool is_here(const Way *way)
{
	return way->once != once_run && !(way->before[0] && strcmp(way->before[0], "systemd-run") == 0);
}

typedef enum Turns { TURNS_COLD, TURNS_IMPORT, TURNS_HERE } Turns;

/* With prepared interpreters about, a Python run is none that starts cold: those are measured apart. */
static bool is_wanted(const Way *way, Turns turns)
{
	return turns == TURNS_HERE ? is_here(way) : way->import == (turns == TURNS_IMPORT);
}

/* A round is all ways once; the first one, which warms up, is not told. */
static int take_turns(Bench *bench, unsigned int rounds, Turns turns)
{
	_cleanup_free_ uint64_t *times = calloc(ELEMENTSOF(ways) * rounds, sizeof(uint64_t));
	int r;

	if (!times)
		return -ENOMEM;
	for (unsigned int round = 0; round <= rounds; round++)
		for (size_t i = 0; i < ELEMENTSOF(ways); i++) {
			uint64_t begun = bench_now();

			if (!is_wanted(&ways[i], turns))
				continue;
			r = ways[i].once(bench, &ways[i]);
			if (r < 0) {
				(void)fprintf(
					stderr, "%s: %s\n", ways[i].name, bench->why[0] ? bench->why : strerror(-r));
				return r;
			}
			if (round)
				times[i * rounds + round - 1] = bench_now() - begun;
			/* a spare that serves the next one is made ready behind this one's back: not in the next way's time */
			bench_settle(bench);
		}
	for (size_t i = 0; i < ELEMENTSOF(ways); i++)
		if (is_wanted(&ways[i], turns))
			bench_tell(ways[i].name, times + i * rounds, rounds);
	return 0;
}

static int many(Bench *bench, unsigned int runs)
{
	RunOptions options = RUN_OPTIONS_NONE;
	int r = 0;

	options.language = "bash";
	for (unsigned int i = 0; i < runs && r >= 0; i++)
		r = bench_run(bench, &options, "echo $$");
	return r;
}

static int fair(Bench *bench)
{
	RunOptions options = RUN_OPTIONS_NONE;
	uint64_t times[AT_ONCE];
	int r;

	options.language = "bash";
	r = bench_runs_at_once(bench, &options, "for ((i = 0; i < 100000; i++)); do :; done", AT_ONCE, times);
	if (r >= 0)
		bench_tell("at once", times, AT_ONCE);
	return r;
}

static int mcp(Bench *bench, unsigned int rounds)
{
	_cleanup_free_ uint64_t *calls = calloc(rounds, sizeof(uint64_t)),
				*connections = calloc(rounds, sizeof(uint64_t));
	int r = calls && connections ? 0 : -ENOMEM;

	if (r >= 0)
		r = bench_mcp(bench, rounds, calls, connections);
	if (r < 0)
		return r;
	bench_tell("mcp call", calls, rounds);
	bench_tell("mcp connection", connections, rounds);
	return 0;
}

int main(int argc, char **argv)
{
	_cleanup_(bench_done) Bench bench = { .loop_in = -EBADF, .loop_out = -EBADF };
	const struct passwd *user = argc > 2 ? getpwnam(argv[1]) : NULL;
	uint64_t rounds = 0, runs = 0;
	int r;

	if (!user || str_to_u64(argv[2], ROUNDS_MAX, &rounds) < 0 || !rounds) {
		(void)fprintf(stderr, "usage: bench-runs USER ROUNDS [here | import | many RUNS | fair | mcp]\n");
		return EXIT_FAILURE;
	}
	if (argc == 4 && strcmp(argv[3], "here") == 0) {
		bench.user = user;
		return take_turns(&bench, (unsigned int)rounds, TURNS_HERE) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	r = bench_open(&bench, user);
	if (r < 0) {
		(void)fprintf(stderr, "%s\n", bench.why);
		return EXIT_FAILURE;
	}
	if (argc == 3)
		r = take_turns(&bench, (unsigned int)rounds, TURNS_COLD);
	else if (argc == 4 && strcmp(argv[3], "import") == 0)
		r = take_turns(&bench, (unsigned int)rounds, TURNS_IMPORT);
	else if (argc == 5 && strcmp(argv[3], "many") == 0 && str_to_u64(argv[4], UINT32_MAX, &runs) == 0)
		r = many(&bench, (unsigned int)runs);
	else if (argc == 4 && strcmp(argv[3], "fair") == 0)
		r = fair(&bench);
	else if (argc == 4 && strcmp(argv[3], "mcp") == 0)
		r = mcp(&bench, (unsigned int)rounds);
	else
		r = -EINVAL;
	if (r < 0)
		(void)fprintf(stderr, "bench-runs: %s\n", bench.why[0] ? bench.why : strerror(-r));
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

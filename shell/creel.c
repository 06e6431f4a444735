/* SPDX-License-Identifier: MIT */
/* creel: the agent's command. It holds no privilege: what it shows and does, the agent's keeper told it and does. */
#include "shell/bus/limit.h"
#include "shell/bus/run.h"
#include "shell/policy/policy.h"
#include "shell/tools/commands.h"

#include <pwd.h>
#include <string.h>

#define QUICK_USEC (60 * UINT64_C(1000000))

static int limits_main(int argc, char **argv);
static int mcp_command(int argc, char **argv);
static int run_command(int argc, char **argv);

static const struct {
	const char *name;
	int (*main)(int argc, char **argv); /* the words behind the name */
	const char *words, *help;
} commands[] = {
	{ "run", run_command, "FILE|- [OPTIONS] [-- ARGUMENTS]",
		"runs a script: Python, JavaScript, TypeScript or Bash; its options: creel run --help" },
	{ "sessions", sessions_main, "[--json] | reset [LANGUAGE] NAME", "interpreters that keep their state" },
	{ "history", history_main, "[-n N|all] [--kind KIND] [--session ID] [--since 2h] [--json]",
		"what the record says of you" },
	{ "limits", limits_main, "[--json]", "what you may use, and what you use now" },
	{ "exec-server", exec_server_main, "", "runs for programs: one JSON object a line, on stdin and stdout" },
	{ "render", render_main, "--channel discord|telegram|slack|whatsapp|plain [FILE|-]",
		"a run's result (creel run --json) as a message" },
	{ "mcp", mcp_command, "", "a server of the Model Context Protocol, on stdin and stdout" },
};

static void print_help(FILE *file)
{
	(void)fprintf(file, "usage:\n");
	for (size_t i = 0; i < ELEMENTSOF(commands); i++)
		(void)fprintf(file, "  creel %s%s%s\n      %s\n", commands[i].name, *commands[i].words ? " " : "",
			commands[i].words, commands[i].help);
	(void)fprintf(file, "  creel help | --version\n"
			    "see creel(1)\n");
}

static int limits_main(int argc, char **argv)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
	char why[512];
	int r;

	if (argc > json) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	r = limits_ask(getuid(), &reply, why, sizeof(why));
	if (r == 0) {
		r = limits_print(stdout, reply, json);
		if (r < 0)
			(void)snprintf(why, sizeof(why), "%s", strerror(-r));
	}
	if (r < 0) {
		(void)fprintf(stderr, "creel: limits: %s\n", why);
		return EXIT_FAILURE;
	}
	if (json)
		(void)fputc('\n', stdout);
	return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* A quick script has a minute, where the policy lets it. */
static int run_command(int argc, char **argv)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	const struct passwd *user = getpwuid(getuid());
	PolicyError error;
	uint64_t timeout = RUN_DEFAULT;

	if (user && policy_load("", user->pw_name, &policy, &error) == 0)
		timeout = policy->exec_max_timeout_usec < QUICK_USEC ? policy->exec_max_timeout_usec : QUICK_USEC;
	return run_main(argc, argv, timeout);
}

/* Where its folders are is in the policy, which anybody may read; where the agent may not, they are where they usually are. */
static int mcp_command(int argc, char **argv)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	const struct passwd *user = getpwuid(getuid());
	PolicyError error;

	if (argc) {
		print_help(stderr);
		return EXIT_USAGE;
	}
	if (!user || policy_load("", user->pw_name, &policy, &error) < 0)
		policy = NULL;
	return mcp_main(policy ? policy->workspace : "workspace", policy ? policy->output_dir : "workspace/output");
}

int main(int argc, char **argv)
{
	for (size_t i = 0; argc >= 2 && i < ELEMENTSOF(commands); i++)
		if (strcmp(argv[1], commands[i].name) == 0)
			return commands[i].main(argc - 2, argv + 2);
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

/* SPDX-License-Identifier: MIT */
/* creel: the agent's command. It holds no privilege: what it shows and does, the agent's keeper told it and does. */
#include "shell/base/str.h"
#include "shell/bus/limit.h"
#include "shell/bus/run.h"
#include "shell/jobs/commands.h"
#include "shell/policy/policy.h"
#include "shell/tools/commands.h"

#include <pwd.h>
#include <signal.h>
#include <string.h>

#define QUICK_USEC (60 * UINT64_C(1000000))

static int limits_main(int argc, char **argv);
static int check_command(int argc, char **argv);
static int mcp_command(int argc, char **argv);
static int run_command(int argc, char **argv);

static const struct {
	const char *name;
	int (*main)(int argc, char **argv); /* the words behind the name */
	const char *words, *help;
} commands[] = {
	{ "run", run_command, "FILE|- [OPTIONS] [-- ARGUMENTS]",
		"runs a script: Python, JavaScript, TypeScript or Bash; its options: creel run --help" },
	{ "check", check_command, "[PATH] [--only format|lint|test] [--json]",
		"formatter, linter and tests of a folder, as far as they are installed; creel check --help" },
	{ "sessions", sessions_main, "[--json] | reset [LANGUAGE] NAME", "interpreters that keep their state" },
	{ "ps", ps_main, "[--json] [--watch]",
		"all that runs: logins, jobs, screens, services, cron, strays; creel ps --help" },
	{ "stop", ps_stop_main, "[--kind KIND] NAME|PID", "ends one of them" },
	{ "logs", ps_logs_main, "[-f] [-n LINES] [--json] NAME|PID", "what one of them wrote" },
	{ "status", resource_status_main, "[--json]",
		"what you use of what you may use, who uses most, what is nearly full" },
	{ "doctor", mistakes_main, "[--json]",
		"usual mistakes: servers that nobody reaches, dead PID files, logs that grow, ..." },
	{ "history", history_main, "[-n N|all] [--kind KIND] [--session ID] [--since 2h] [--json]",
		"what the record says of you" },
	{ "secret", secret_main, "set|list|rm|run NAME...",
		"values kept encrypted, for the environment of one command: creel secret --help" },
	{ "limits", limits_main, "[--json]", "what you may use, and what you use now" },
	{ "service", service_main, "create|list|status|logs|start|restart|stop|rm ...",
		"servers that stay: creel service --help" },
	{ "serve", serve_main, "DIR [--port P] [--background NAME]", "shares a folder for download" },
	{ "exec-server", exec_server_main, "", "runs for programs: one JSON object a line, on stdin and stdout" },
	{ "render", render_main, "--channel discord|telegram|slack|whatsapp|plain [FILE|-]",
		"a run's result (creel run --json) as a message" },
	{ "job", job_main, "start NAME -- COMMAND... | list | status | logs | stop | wait | rm",
		"commands that outlive the session; its options: creel job --help" },
	{ "cron", cron_main, "add 'SCHEDULE' SCRIPT | list | next | run | logs | rm",
		"entries of the crontab; its options: creel cron --help" },
	{ "screen", screen_main, "start NAME [-- COMMAND...] | list | attach | stop",
		"terminals that outlive the session: screen(1); its options: creel screen --help" },
	{ "mcp", mcp_command, "", "a server of the Model Context Protocol, on stdin and stdout" },
};

/* creel COMMAND --help, of commands that do not say it themselves. Completion reads the lines that begin with "creel". */
static const struct {
	const char *name, *text;
} details[] = {
	{ "sessions", "usage: creel sessions [--json]\n"
		      "       creel sessions reset [LANGUAGE] NAME\n"
		      "  --json   an array of objects: name, language, state, since, idle_ms, memory\n"
		      "  reset    ends one; LANGUAGE is python where none is named\n" },
	{ "limits", "usage: creel limits [--json]\n"
		    "  --json   an array of objects: name, unit, limit, used, origin\n" },
	{ "exec-server", "usage: creel exec-server\n"
			 "creel-exec-server(7) has its messages\n" },
	{ "render", "usage: creel render --channel discord|telegram|slack|whatsapp|plain [OPTIONS] [FILE|-]\n"
		    "  --channel      what it is written for: one message, within its limit\n"
		    "  --code FILE    shows the code, too\n"
		    "  --lang NAME    what the code is written in\n"
		    "  --full FILE    where all of an output is written that is too long\n" },
	{ "mcp", "usage: creel mcp\n"
		 "creel-mcp(7) has its tools and resources\n" },
};

static void print_help(FILE *file)
{
	(void)fprintf(file, "usage:\n");
	for (size_t i = 0; i < ELEMENTSOF(commands); i++)
		(void)fprintf(file, "  creel %s%s%s\n      %s\n", commands[i].name, *commands[i].words ? " " : "",
			commands[i].words, commands[i].help);
	(void)fprintf(file, "  creel help [COMMAND] | --version\n"
			    "`creel COMMAND --help` says more of each; see creel(1)\n");
}

static int wrong_words(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(details); i++)
		if (strcmp(name, details[i].name) == 0)
			(void)fputs(details[i].text, stderr);
	return EXIT_USAGE;
}

static bool asks_for_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

static int limits_main(int argc, char **argv)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	bool json = argc == 1 && strcmp(argv[0], "--json") == 0;
	char why[512];
	int r;

	if (argc > json)
		return wrong_words("limits");
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

/* `most`, where the policy lets it. */
static uint64_t timeout_of(uint64_t most)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	const struct passwd *user = getpwuid(getuid());
	PolicyError error;

	if (!user || policy_load("", user->pw_name, &policy, &error) < 0)
		return RUN_DEFAULT;
	return policy->exec_max_timeout_usec < most ? policy->exec_max_timeout_usec : most;
}

/* A quick script has a minute. */
static int run_command(int argc, char **argv)
{
	/* a copy of the script that is larger than the agent's files may be is told in words */
	(void)signal(SIGXFSZ, SIG_IGN);
	return run_main(argc, argv, timeout_of(QUICK_USEC));
}

/* Tests take their time. */
static int check_command(int argc, char **argv)
{
	return check_main(argc, argv, timeout_of(UINT64_MAX - 1));
}

/* Where its folders are is in the policy, which anybody may read; where the agent may not, they are where they usually are. */
static int mcp_command(int argc, char **argv)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	const struct passwd *user = getpwuid(getuid());
	PolicyError error;

	if (argc)
		return wrong_words("mcp");
	if (!user || policy_load("", user->pw_name, &policy, &error) < 0)
		policy = NULL;
	return mcp_main(policy ? policy->workspace : "workspace", policy ? policy->output_dir : "workspace/output");
}

static const char *details_of(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(details); i++)
		if (strcmp(name, details[i].name) == 0)
			return details[i].text;
	return NULL;
}

/* `creel help job start` is `creel job start --help`; what has no verbs would take the word for something else. */
static bool has_verbs(const char *name)
{
	static const char *const names[] = { "job", "service", "screen", "cron" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* The command of that name, with the words behind it. */
static int command_run(const char *name, int argc, char **argv)
{
	const char *text = argc > 0 && asks_for_help(argv[0]) ? details_of(name) : NULL;
	char shown[64];

	if (text) {
		(void)fputs(text, stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	for (size_t i = 0; i < ELEMENTSOF(commands); i++)
		if (strcmp(name, commands[i].name) == 0)
			return commands[i].main(argc, argv);
	(void)fprintf(stderr, "creel: %s: there is no such command; `creel help` lists them all\n",
		str_quote(name, strlen(name), shown, sizeof(shown)));
	return EXIT_USAGE;
}

/* Called by that name, it is crontab. */
static bool is_crontab(const char *name)
{
	const char *slash = name ? strrchr(name, '/') : NULL;

	return name && strcmp(slash ? slash + 1 : name, "crontab") == 0;
}

int main(int argc, char **argv)
{
	char *help[] = { argc > 3 ? argv[3] : (char *)"--help", (char *)"--help", NULL };

	if (is_crontab(argv[0]))
		return crontab_main(argc, argv);
	if ((argc == 3 || (argc == 4 && has_verbs(argv[2]))) && strcmp(argv[1], "help") == 0)
		return command_run(argv[2], argc - 2, help);
	if (argc == 2 && (strcmp(argv[1], "help") == 0 || asks_for_help(argv[1]))) {
		print_help(stdout);
		return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)printf("creel %s\n", CREEL_VERSION);
		return EXIT_SUCCESS;
	}
	if (argc > 1)
		return command_run(argv[1], argc - 2, argv + 2);
	print_help(stderr);
	return EXIT_USAGE;
}

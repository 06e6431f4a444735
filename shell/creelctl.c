/* SPDX-License-Identifier: MIT */
/* creelctl: the operator's command. Each verb is a file in shell/operator/. */
#include "shell/operator/operator.h"
#include "shell/base/rate.h"

#include <fcntl.h>
#include <string.h>

typedef struct Verb {
	const char *noun, *verb; /* `verb` NULL: the noun stands alone */
	bool root;               /* refuse others early, with the reason */
	bool changes;            /* goes into the record */
	int (*main)(int argc, char **argv);
	const char *arguments, *purpose;
} Verb;

#define AUDIT_FILTER_COMMON "[--agent NAME] [--session ID] [--kind KIND] [--result RESULT] [--since TIME]"
#define AUDIT_FILTER AUDIT_FILTER_COMMON " [--until TIME]"

static const Verb verbs[] = {
	{ "agent", "add", true, true, agent_add_main, "NAME --key FILE|- [--profile P] [--set SECTION.KEY=VALUE]...",
		"make a user and its keeper, all or nothing" },
	{ "agent", "remove", true, true, agent_remove_main, "NAME [--keep-home]",
		"end all that it runs, remove all that it has" },
	{ "agent", "set", true, true, agent_set_main, "NAME [--unset SECTION.KEY | SECTION.KEY=VALUE]...",
		"change its policy, for what runs as well" },
	{ "agent", "list", true, false, agent_list_main, "[--json]", "all agents, with use and limits" },
	{ "agent", "show", true, false, agent_show_main, "NAME [--json]", "one agent, each limit beside its use" },
	{ "agent", "lock", true, true, agent_lock_main, "NAME", "refuse new logins" },
	{ "agent", "unlock", true, true, agent_unlock_main, "NAME", "allow logins again" },
	{ "agent", "key", true, true, agent_key_main,
		"add NAME --key FILE|- | list NAME [--json] | remove NAME SHA256:...", "the keys that may log in" },
	{ "agent", "stop", true, true, agent_stop_main, "NAME",
		"end all that it runs, now; refuse logins until it is started" },
	{ "agent", "start", true, true, agent_start_main, "NAME", "start one that was stopped" },
	{ "agent", "freeze", true, true, agent_freeze_main, "NAME", "let all that it runs stand still" },
	{ "agent", "thaw", true, true, agent_thaw_main, "NAME", "let it go on" },
	{ "policy", "check", false, false, policy_check_main, "[FILE|NAME]",
		"read policies as creel does; say what is wrong" },
	{ "policy", "show", false, false, policy_show_main, "[NAME] [--json]",
		"effective values, and where each came from" },
	{ "policy", "diff", false, false, policy_diff_main, "NAME [OTHER|FILE] [--json]",
		"which values differ: from the defaults, another agent's, or a file's" },
	{ "policy", "apply", true, true, policy_apply_main, "", "make edited policies take effect" },
	{ "packages", "fetch", true, true, packages_fetch_main, "NAME | --all",
		"fill the shelf of an agent whose policy has an allowlist of packages" },
	{ "audit", "list", true, false, audit_list_main, AUDIT_FILTER " [-n N|all] [--json]",
		"the last entries of the record" },
	{ "audit", "show", true, false, audit_show_main,
		"SESSION | RUN [--agent NAME] [--kind KIND] [--result RESULT] [--since TIME] [--until TIME]",
		"all of a session or a run, with code and output" },
	{ "audit", "follow", true, false, audit_follow_main, AUDIT_FILTER_COMMON " [-n N|all] [--json]",
		"entries as they come" },
	{ "audit", "export", true, false, audit_export_main, AUDIT_FILTER, "all entries, as JSON lines" },
	{ "audit", "usage", true, false, audit_usage_main, AUDIT_FILTER " [--json]",
		"what each agent did and used, from the record" },
	{ "audit", NULL, true, false, audit_list_main, "[-n N] ...", "as audit list" },
	{ "session", "list", true, false, session_list_main, "[--agent NAME] [--json]",
		"who is logged in, and what runs there" },
	{ "session", "watch", true, false, session_watch_main, "ID [--json]", "what happens in it, until it ends" },
	{ "session", "recordings", true, false, session_recordings_main, "[--agent NAME] [--json]",
		"what was recorded of terminals" },
	{ "session", "recording", true, false, session_recording_main, "ID[-CHANNEL]",
		"one of them, as asciinema plays it" },
	{ "session", "kill", true, true, session_kill_main, "ID", "end a login and all that runs in it" },
	{ "hostkeys", NULL, true, false, hostkeys_main, "[--host NAME]... [--json]",
		"this machine's lines for known_hosts" },
	{ "metrics", NULL, true, false, metrics_main, "[--write]",
		"numbers for Prometheus; --write: as the node exporter's textfile" },
	{ "doctor", NULL, false, false, doctor_main,
		"[--agent NAME] [--check ID] [--brief | --quiet | --json] [--root DIR]",
		"what is enforced here, what is missing, and what to do about it" },
};

static void print_verb(FILE *file, const Verb *verb)
{
	(void)fprintf(file, "  creelctl %s%s%s%s%s\n", verb->noun, verb->verb ? " " : "", verb->verb ? verb->verb : "",
		*verb->arguments ? " " : "", verb->arguments);
}

/* Of one noun, or of all (NULL). */
static void print_help(FILE *file, const char *noun)
{
	(void)fprintf(file, "usage:\n");
	for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
		if (noun && strcmp(verbs[i].noun, noun) != 0)
			continue;
		print_verb(file, &verbs[i]);
		(void)fprintf(file, "      %s\n", verbs[i].purpose);
	}
	(void)fprintf(file, "  creelctl help [NOUN] | --version\nsee creelctl(8) and creel.conf(5)\n");
}

static bool is_noun(const char *word)
{
	for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
		if (strcmp(verbs[i].noun, word) == 0)
			return true;
	return false;
}

static bool has_verbs(const char *noun)
{
	for (size_t i = 0; i < ELEMENTSOF(verbs); i++)
		if (verbs[i].verb && strcmp(verbs[i].noun, noun) == 0)
			return true;
	return false;
}

static bool asks_for_help(const char *word)
{
	return strcmp(word, "help") == 0 || strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
}

/* `noun` NULL: the word is none; `word` NULL: it has no verb. */
static int unknown(const char *noun, const char *word)
{
	char shown[64];

	if (!word)
		(void)fprintf(stderr, "creelctl: %s: a verb is missing: see creelctl help %s\n", noun, noun);
	else
		(void)fprintf(stderr, "creelctl: `%s%s%s`: there is no such command: see creelctl help%s%s\n",
			noun ? noun : "", noun ? " " : "", str_quote(word, strlen(word), shown, sizeof(shown)),
			noun ? " " : "", noun ? noun : "");
	return EXIT_USAGE;
}

/* 0, 1 and 2 must be open: what is opened later would land there, and be written to as messages. */
static int open_standard(void)
{
	int fd;

	do
		fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	while (fd >= 0 && fd <= STDERR_FILENO);
	if (fd < 0)
		return -errno;
	(void)close(fd);
	return 0;
}

/* The first word that can be one; behind the verbs of keys. */
static const char *agent_of(const Verb *verb, int argc, char **argv)
{
	int i = strcmp(verb->verb, "key") == 0;

	if (strcmp(verb->noun, "agent") != 0 && strcmp(verb->noun, "packages") != 0)
		return NULL;
	return i < argc && policy_name_valid(argv[i]) ? argv[i] : NULL;
}

/* Of the verbs of keys, `list` changes nothing; of others, it may be an agent's name. */
static bool changes(const Verb *verb, int argc, char **argv)
{
	return verb->changes && !(strcmp(verb->verb, "key") == 0 && argc && strcmp(argv[0], "list") == 0);
}

static int run(const Verb *verb, int argc, char **argv)
{
	uint64_t began_usec;
	int status;

	if (verb->root && geteuid() != 0) {
		(void)fprintf(stderr, "creelctl: only root can do that\n");
		return EXIT_FAILURE;
	}
	began_usec = clock_monotonic_usec();
	status = verb->main(argc, argv);
	if (changes(verb, argc, argv) && status != EXIT_USAGE)
		operator_record(agent_of(verb, argc, argv), argc + 2, argv - 2, status, began_usec);
	if (status == EXIT_USAGE) {
		(void)fprintf(stderr, "usage:\n");
		print_verb(stderr, verb);
	}
	/* output that did not reach its reader is a failure as well */
	if (fflush(stdout) != 0 || ferror(stdout))
		return EXIT_FAILURE;
	return status;
}

int main(int argc, char **argv)
{
	if (open_standard() < 0)
		return EXIT_FAILURE;
	if (argc < 2) {
		print_help(stderr, NULL);
		return EXIT_USAGE;
	}
	if (argc == 3 && asks_for_help(argv[2]) && is_noun(argv[1])) {
		print_help(stdout, argv[1]);
		return EXIT_SUCCESS;
	}
	if (asks_for_help(argv[1])) {
		if (argc > 2 && !is_noun(argv[2]))
			return unknown(NULL, argv[2]);
		print_help(stdout, argc > 2 ? argv[2] : NULL);
		return EXIT_SUCCESS;
	}
	if (strcmp(argv[1], "--version") == 0) {
		(void)printf("creelctl %s\n", CREEL_VERSION);
		return EXIT_SUCCESS;
	}
	for (size_t i = 0; i < ELEMENTSOF(verbs); i++) {
		if (strcmp(argv[1], verbs[i].noun) != 0)
			continue;
		/* `audit` alone is a verb, and a noun of others */
		if (!verbs[i].verb && argc > 2 && argv[2][0] != '-' && has_verbs(argv[1]))
			continue;
		if (!verbs[i].verb)
			return run(&verbs[i], argc - 2, argv + 2);
		if (argc > 2 && strcmp(argv[2], verbs[i].verb) == 0)
			return run(&verbs[i], argc - 3, argv + 3);
	}
	return is_noun(argv[1]) ? unknown(argv[1], argv[2]) : unknown(NULL, argv[1]);
}

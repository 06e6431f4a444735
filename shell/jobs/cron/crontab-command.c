/* SPDX-License-Identifier: MIT */
/*
 * crontab: the program of that name, for agents. Options, questions and exit statuses are those of Debian's.
 *
 * Who is no agent gets the system's crontab: this one has a place before it in everybody's PATH.
 */
#include "shell/base/file.h"
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/edit.h"
#include "shell/jobs/cron/reload.h"
#include "shell/jobs/cron/store.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>

#define SYSTEM_CRONTAB "/usr/bin/crontab"
#define POLICY_FORMAT "/etc/creel/agents/%s.conf"

static int usage(const char *problem)
{
	if (problem)
		(void)fprintf(stderr, "crontab: usage error: %s\n", problem);
	(void)fprintf(problem ? stderr : stdout,
		"usage:  crontab [-n] FILE    takes FILE's lines; -: those of the standard input\n"
		"        crontab [-i] -e|-l|-r\n"
		"  -e  edit it in $VISUAL or $EDITOR   -l  show it   -r  remove it   -i  ask before that\n"
		"  -n  only look for errors\n"
		"creel cron adds, lists and tries single entries; see creel-cron(1)\n");
	return problem ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int list(const char *user)
{
	_cleanup_free_ char *text = NULL;
	Reason reason;
	size_t n;
	int r;

	r = store_read(&text, &n, &reason);
	if (r == -ENOENT)
		(void)fprintf(stderr, "no crontab for %s\n", user);
	else if (r < 0)
		(void)fprintf(stderr, "crontab: %s\n", reason.text);
	if (r < 0)
		return EXIT_FAILURE;
	return fwrite(text, 1, n, stdout) == n && fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}

static int delete (const char *user, bool ask)
{
	_cleanup_free_ char *text = NULL;
	Reason reason;
	size_t n;
	int r;

	/* one that cannot be read can be removed */
	r = store_read(&text, &n, &reason);
	if (r == -ENOENT) {
		(void)fprintf(stderr, "no crontab for %s\n", user);
		return EXIT_FAILURE;
	}
	if (ask) {
		(void)printf("crontab: really delete %s's crontab? (y/n) ", user);
		if (!edit_ask())
			return EXIT_SUCCESS;
	}
	r = cron_uninstall(&reason);
	if (r < 0)
		(void)fprintf(stderr, "crontab: %s\n", reason.text);
	return r < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* Takes the lines of a file, or of the standard input. `sure`: an empty text is meant. */
static int replace(const char *path, bool sure, bool dry)
{
	bool standard = strcmp(path, "-") == 0;
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *text = NULL;
	size_t n;
	int r;

	r = standard ? file_read_fd(STDIN_FILENO, CRONTAB_BYTES_MAX, &text, &n)
		     : file_read_at(AT_FDCWD, path, 0, CRONTAB_BYTES_MAX, &text, &n);
	if (r == -E2BIG)
		(void)fprintf(stderr, "crontab: %s: larger than %u KiB\n", path, CRONTAB_BYTES_MAX / 1024);
	else if (r < 0)
		(void)fprintf(stderr, "crontab: %s: %s\n", path, r == -ENOTSUP ? "not a regular file" : strerror(-r));
	if (r < 0)
		return EXIT_FAILURE;
	if (n == 0 && !sure)
		return usage("nothing came from the standard input; crontab -r removes the crontab");
	if (dry) {
		if (crontab_parse(text, n, &crontab) < 0)
			return EXIT_FAILURE;
		cron_tell_faults(crontab, path);
		if (!crontab->n_faults)
			(void)fprintf(stderr, "The syntax of the crontab file was successfully checked.\n");
		return crontab->n_faults ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	switch (cron_install(NULL, path, text, n, NULL)) {
	case CRON_INSTALLED:
		return EXIT_SUCCESS;
	case CRON_REFUSED:
		(void)fprintf(stderr, "errors in crontab file, can't install.\n");
		return EXIT_FAILURE;
	default:
		return EXIT_FAILURE;
	}
}

static bool is_agent(const char *user)
{
	char path[128];

	(void)snprintf(path, sizeof(path), POLICY_FORMAT, user);
	return access(path, F_OK) == 0;
}

int crontab_main(int argc, char **argv)
{
	const struct passwd *found = getpwuid(getuid());
	_cleanup_free_ char *user = found ? strdup(found->pw_name) : NULL;
	bool ask = false, dry = false;
	int verb = 0, option;

	if (!user || !is_agent(user)) {
		execv(SYSTEM_CRONTAB, argv);
		(void)fprintf(stderr, "crontab: %s: %s\n", SYSTEM_CRONTAB, strerror(errno));
		return EXIT_FAILURE;
	}
	opterr = 0;
	while ((option = getopt(argc, argv, "u:hlerin")) != -1)
		switch (option) {
		case 'u':
			if (strcmp(optarg, user) == 0)
				break;
			(void)fprintf(stderr, "must be privileged to use -u\n");
			return EXIT_FAILURE;
		case 'h':
			return usage(NULL);
		case 'i':
			ask = true;
			break;
		case 'n':
			dry = true;
			break;
		case 'l':
		case 'e':
		case 'r':
			if (verb)
				return usage("only one operation permitted");
			verb = option;
			break;
		default:
			return usage("unrecognized option");
		}
	if (verb && optind < argc)
		return usage("no arguments permitted after this option");
	if (argc - optind > 1)
		return usage("one file, please");
	if (!verb && optind == argc && isatty(STDIN_FILENO))
		return usage("file name or - (for stdin) must be specified");
	switch (verb) {
	case 'l':
		return list(user);
	case 'r':
		return delete (user, ask);
	case 'e':
		return edit_main(user);
	default:
		return replace(optind < argc ? argv[optind] : "-", optind < argc, dry);
	}
}

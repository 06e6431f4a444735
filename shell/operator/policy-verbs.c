/* SPDX-License-Identifier: MIT */
/* creelctl policy check, policy show. */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/base/json.h"

#include <fcntl.h>
#include <string.h>

#define FILE_MAX (128U * 1024) /* more than a policy may have, so that the loader says so */

/* One line for each key that a file sets and that this version reads but does not enforce. */
static void warn_unenforced(const Policy *policy)
{
	const char *section, *key, *origin;
	bool enforced;
	char *value;

	for (size_t i = 0; policy_row(policy, i, &section, &key, &value, &origin, &enforced); i++) {
		free(value);
		if (!enforced && strncmp(origin, "built-in", strlen("built-in")) != 0)
			(void)fprintf(stderr, "%s: [%s] %s: warning: not enforced yet by this version\n", origin,
				section, key);
	}
}

static int check_agent(const char *name)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error = { "" };

	if (policy_load("", name, &policy, &error) < 0) {
		(void)fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	warn_unenforced(policy);
	(void)printf("%s/agents/%s.conf: ok\n", POLICY_DIR, name);
	return EXIT_SUCCESS;
}

/* A file that need not be in place: what creel.conf's name says is checked as such, anything else as an
 * agent's. */
static int check_file(const char *path)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	_cleanup_free_ char *data = NULL;
	PolicyText text = { .label = path };
	PolicyError error = { "" };
	const char *base = strrchr(path, '/');
	bool system;
	int r;

	base = base ? base + 1 : path;
	system = strcmp(base, "creel.conf") == 0;
	r = file_read_at(AT_FDCWD, path, 0, FILE_MAX, &data, &text.n);
	if (r < 0) {
		(void)fprintf(stderr, "%s: %s\n", path, strerror(-r));
		return EXIT_FAILURE;
	}
	text.text = data;
	r = system ? policy_load_text("", NULL, &text, NULL, &policy, &error)
		   : policy_load_text("", "agent", NULL, &text, &policy, &error);
	if (r < 0) {
		(void)fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	warn_unenforced(policy);
	(void)printf("%s: ok\n", path);
	return EXIT_SUCCESS;
}

static int check_all(void)
{
	_cleanup_strlist_ StrList names = { 0 };
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error = { "" };
	Reason reason = { "" };
	int status = EXIT_SUCCESS;

	if (policy_load("", NULL, &policy, &error) < 0) {
		(void)fprintf(stderr, "%s\n", error.text);
		return EXIT_FAILURE;
	}
	warn_unenforced(policy);
	(void)printf("%s/creel.conf: ok\n", POLICY_DIR);
	if (agent_names(&names, &reason) < 0) {
		(void)fprintf(stderr, "%s\n", reason.text);
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < names.n; i++)
		if (check_agent(names.items[i]) != EXIT_SUCCESS)
			status = EXIT_FAILURE;
	return status;
}

int policy_check_main(int argc, char **argv)
{
	const WordOption options[] = { { NULL } };
	const char *what = NULL;

	if (words_parse(argc, argv, options, &what) < 0)
		return EXIT_USAGE;
	if (!what)
		return check_all();
	/* an agent's name has no dot and no slash, a file's path has one of them */
	return policy_name_valid(what) ? check_agent(what) : check_file(what);
}

/* section.key, as --set takes it: a line says all by itself. */
static void show_text(const Policy *policy)
{
	const char *section, *key, *origin;
	bool enforced;
	char *value;

	for (size_t i = 0; policy_row(policy, i, &section, &key, &value, &origin, &enforced); i++) {
		_cleanup_free_ char *line = str_format("%s.%s = %s", section, key, value ? value : "?");

		free(value);
		(void)printf("%-40s  ; %s%s\n", line ? line : key, origin, enforced ? "" : "; not enforced yet");
	}
}

static void show_json(const Policy *policy)
{
	const char *section, *key, *origin;
	bool enforced, first_row = true;
	char *value;

	(void)fputc('[', stdout);
	for (size_t i = 0; policy_row(policy, i, &section, &key, &value, &origin, &enforced); i++) {
		bool first = true;

		(void)fputs(first_row ? "{" : ",\n{", stdout);
		first_row = false;
		json_text(stdout, &first, "section", section);
		json_text(stdout, &first, "key", key);
		json_text(stdout, &first, "value", value);
		json_text(stdout, &first, "origin", origin);
		json_bool(stdout, &first, "enforced", enforced);
		(void)fputc('}', stdout);
		free(value);
	}
	(void)fputs("]\n", stdout);
}

int policy_show_main(int argc, char **argv)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error = { "" };
	const char *name = NULL;
	bool json = false;
	const WordOption options[] = { { "--json", .flag = &json }, { NULL } };

	if (words_parse(argc, argv, options, &name) < 0)
		return EXIT_USAGE;
	if (policy_load("", name, &policy, &error) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", error.text);
		return EXIT_FAILURE;
	}
	if (json)
		show_json(policy);
	else
		show_text(policy);
	return EXIT_SUCCESS;
}

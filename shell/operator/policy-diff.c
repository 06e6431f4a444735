/* SPDX-License-Identifier: MIT */
/*
 * creelctl policy diff: which effective values differ. NAME alone: from what every agent has by default; NAME OTHER: from another
 * agent's; NAME FILE: what would change if FILE were the agent's.
 */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/base/json.h"

#include <fcntl.h>
#include <string.h>

#define FILE_MAX (128U * 1024) /* more than a policy may have, so that the loader says so */

static int load(const char *name, Policy **ret, Reason *ret_reason)
{
	PolicyError error = { "" };
	int r;

	if (name && !policy_name_valid(name)) {
		char shown[96];

		return reason_set(ret_reason, -EINVAL, "`%s` is not a name for an agent",
			str_quote(name, strlen(name), shown, sizeof(shown)));
	}
	r = policy_load("", name, ret, &error);
	return r < 0 ? reason_set(ret_reason, r, "%s", error.text) : 0;
}

static int load_file(const char *name, const char *path, Policy **ret, Reason *ret_reason)
{
	_cleanup_free_ char *data = NULL;
	PolicyText text = { .label = path };
	PolicyError error = { "" };
	int r;

	r = file_read_at(AT_FDCWD, path, 0, FILE_MAX, &data, &text.n);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", path, strerror(-r));
	text.text = data;
	r = policy_load_text("", name, NULL, &text, ret, &error);
	return r < 0 ? reason_set(ret_reason, r, "%s", error.text) : 0;
}

static void show(const PolicyChange *change, bool json, bool first_row)
{
	bool first = true;
	char was[400], is[400];

	if (!json) {
		(void)printf("%s.%s: %s -> %s  ; %s\n", change->section, change->key,
			change->was ? str_quote(change->was, strlen(change->was), was, sizeof(was)) : "?",
			change->is ? str_quote(change->is, strlen(change->is), is, sizeof(is)) : "?", change->origin);
		return;
	}
	(void)fputs(first_row ? "{" : ",\n{", stdout);
	json_text(stdout, &first, "section", change->section);
	json_text(stdout, &first, "key", change->key);
	json_text(stdout, &first, "was", change->was);
	json_text(stdout, &first, "is", change->is);
	json_text(stdout, &first, "was_origin", change->was_origin);
	json_text(stdout, &first, "origin", change->origin);
	(void)fputc('}', stdout);
}

static int compare(const Policy *before, const Policy *after, bool json, Reason *ret_reason)
{
	PolicyChange *changes = NULL;
	size_t n = 0;
	int r = policy_difference(before, after, &changes, &n);

	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	if (json)
		(void)fputc('[', stdout);
	for (size_t i = 0; i < n; i++)
		show(&changes[i], json, i == 0);
	if (json)
		(void)fputs("]\n", stdout);
	policy_changes_free(changes, n);
	return 0;
}

int policy_diff_main(int argc, char **argv)
{
	_cleanup_(policy_freep) Policy *before = NULL, *after = NULL;
	bool json = false;
	const WordOption options[] = { { "--json", .flag = &json }, { NULL } };
	const char *name, *other = NULL;
	Reason reason = { "" };
	int r;

	if (argc < 1 || argv[0][0] == '-' || words_parse(argc - 1, argv + 1, options, &other) < 0)
		return EXIT_USAGE;
	name = argv[0];
	/* an agent's name has no dot and no slash, a file's path has one of them */
	r = load(other ? name : NULL, &before, &reason);
	if (r >= 0 && (!other || policy_name_valid(other)))
		r = load(other ? other : name, &after, &reason);
	else if (r >= 0)
		r = load_file(name, other, &after, &reason);
	if (r >= 0)
		r = compare(before, after, json, &reason);
	if (r < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

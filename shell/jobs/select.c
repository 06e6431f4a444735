/* SPDX-License-Identifier: MIT */
#include "shell/jobs/select.h"
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>

static bool is_called(const Row *row, const char *word)
{
	const char *slash = strchr(word, '/');

	if (strcmp(row->name, word) == 0 || str_equal(row->unit, word))
		return row->kind != ROW_REPL || !slash;
	return row->kind == ROW_REPL && slash && row->unit && strlen(row->unit) == (size_t)(slash - word) &&
	       strncmp(row->unit, word, (size_t)(slash - word)) == 0 && strcmp(row->name, slash + 1) == 0;
}

/* How each of them is named alone. */
static int several(const Gathered *gathered, const char *word, int kind, Reason *ret_reason)
{
	bool kinds = false;
	int first = -1;
	char ways[512] = "";
	size_t used = 0;

	for (size_t i = 0; i < gathered->rows.n; i++) {
		const Row *row = &gathered->rows.items[i];

		if (!is_called(row, word) || (kind >= 0 && (int)row->kind != kind))
			continue;
		kinds = kinds || (first >= 0 && first != (int)row->kind);
		first = (int)row->kind;
	}
	for (size_t i = 0; i < gathered->rows.n && used < sizeof(ways) - 64; i++) {
		const Row *row = &gathered->rows.items[i];
		const char *comma = used ? ", " : "";
		int n;

		if (!is_called(row, word) || (kind >= 0 && (int)row->kind != kind))
			continue;
		if (kinds)
			n = snprintf(ways + used, sizeof(ways) - used, "%s--kind %s", comma, row_kind_name(row->kind));
		else if (row->kind == ROW_REPL)
			n = snprintf(ways + used, sizeof(ways) - used, "%s%s/%s", comma, row->unit, row->name);
		else
			n = snprintf(ways + used, sizeof(ways) - used, "%s%d", comma, (int)row->pid);
		used += (size_t)n < sizeof(ways) - used ? (size_t)n : sizeof(ways) - used - 1;
	}
	return reason_set(ret_reason, -EEXIST, "several are called so; say which: %s", ways);
}

/* Nobody's row has it: why. */
static int strangers(const char *word, pid_t pid, Reason *ret_reason)
{
	const struct passwd *user;
	uid_t uid;

	if (process_owner(pid, &uid) < 0)
		return reason_set(
			ret_reason, -ENOENT, "no process has this number, and nothing is called so: creel ps");
	if (uid == getuid())
		return reason_set(ret_reason, -ENOENT, "it began just now: try again");
	user = getpwuid(uid);
	return reason_set(ret_reason, -EPERM,
		"process %s belongs to %s, not to you: it is its owner's and an operator's", word,
		user ? user->pw_name : "another user");
}

static int select_pid(const Gathered *gathered, const char *word, pid_t pid, int kind, const Row **ret, pid_t *ret_pid,
	Reason *ret_reason)
{
	for (size_t i = 0; i < gathered->rows.n; i++) {
		const Row *row = &gathered->rows.items[i];

		if (!row_has_pid(row, pid) || (kind >= 0 && (int)row->kind != kind))
			continue;
		*ret = row;
		*ret_pid = row->pid == pid ? 0 : pid;
		return 0;
	}
	return strangers(word, pid, ret_reason);
}

int row_select(
	const Gathered *gathered, const char *word, int kind, const Row **ret, pid_t *ret_pid, Reason *ret_reason)
{
	const Row *found = NULL;
	uint64_t pid;

	for (size_t i = 0; i < gathered->rows.n; i++) {
		const Row *row = &gathered->rows.items[i];

		if (!is_called(row, word) || (kind >= 0 && (int)row->kind != kind))
			continue;
		if (found)
			return several(gathered, word, kind, ret_reason);
		found = row;
	}
	if (!found && str_to_u64(word, INT32_MAX, &pid) == 0 && pid)
		return select_pid(gathered, word, (pid_t)pid, kind, ret, ret_pid, ret_reason);
	if (!found)
		return reason_set(ret_reason, -ENOENT, "nothing that runs is called so: creel ps");
	*ret = found;
	*ret_pid = 0;
	return 0;
}

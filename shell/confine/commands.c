/* SPDX-License-Identifier: MIT */
/*
 * [commands]: names become files, and files rights.
 *
 * deny: the files that the names lead to, by whatever link, can neither be executed nor read - not through the loader, not
 * by another name of the same inode, not by a copy, for a copy must be read first.
 * allow: only the named files, their interpreters, the shell and the subsystems can be executed; other programs of the
 * system cannot be read either, so that the loader, which must be executable, cannot start them.
 */
#include "shell/confine/plan.h"

#include <string.h>
#include <sys/stat.h>

#define INTERPRETERS_MAX 5 /* the kernel's own limit of nesting (BINPRM) */

static const char *writable_tree(const Plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->write.n; i++)
		if (path_within(path, plan->write.items[i]))
			return plan->write.items[i];
	return NULL;
}

static int check_place(Plan *plan, const char *key, const char *path)
{
	const char *tree = writable_tree(plan, path);

	if (!tree)
		return 0;
	return plan_refuse(
		plan, "%s: `%s` is in `%s`, which the agent may write: its content is the agent's", key, path, tree);
}

/* All that a word of the list can mean: itself, or that name in each folder of commands. */
static int expand_word(const StrList *folders, const char *word, StrList *ret)
{
	if (*word == '/')
		return strlist_add(ret, word);
	for (size_t i = 0; i < folders->n; i++) {
		int r = strlist_push(ret, path_join(folders->items[i], word));

		if (r < 0)
			return r;
	}
	return 0;
}

/* Without which there is nothing: the login shell, or the interpreter of the run. */
static const char *shell_of(const Plan *plan)
{
	return plan->request->bash ? "/bin/bash" : plan->request->policy->shell;
}

/* ---- deny ---- */

static int exclude_names(Plan *plan, const char *path, const struct stat *st)
{
	size_t n = 0;
	int r;

	if (!S_ISREG(st->st_mode) || st->st_nlink < 2)
		return 0;
	r = programs_find_names(st->st_dev, st->st_ino, &plan->excluded, &n);
	if (r < 0)
		return r;
	if (n != st->st_nlink)
		return plan_refuse(plan, "%s: `%s` has %lu names, of which %zu were found: the others would work",
			plan->deny_key, path, (unsigned long)st->st_nlink, n);
	return 0;
}

static int deny_path(Plan *plan, const char *path)
{
	_cleanup_free_ char *resolved = NULL;
	struct stat st;
	int r;

	r = path_resolve(path, &resolved);
	if (!r)
		r = check_place(plan, plan->deny_key, resolved);
	/* the name as well, though nothing may be there: then the folder is given entry by entry, and not as a whole */
	if (!r)
		r = paths_add(&plan->excluded, path);
	if (!r)
		r = paths_add(&plan->excluded, resolved);
	if (r < 0 || lstat(resolved, &st) < 0)
		return r;
	return exclude_names(plan, resolved, &st);
}

static int check_shell(Plan *plan)
{
	_cleanup_free_ char *shell = NULL;
	int r;

	r = path_resolve(shell_of(plan), &shell);
	if (r < 0)
		return r;
	for (size_t i = 0; i < plan->excluded.n; i++)
		if (path_within(shell, plan->excluded.items[i]))
			return plan_refuse(plan, "%s: `%s` is the %s, %s", plan->deny_key, plan->excluded.items[i],
				plan->request->bash ? "interpreter" : "login shell", shell_of(plan));
	return 0;
}

static int deny_all(Plan *plan, const StrList *folders, const StrList *words)
{
	int r = 0;

	for (size_t i = 0; !r && i < words->n; i++) {
		_cleanup_strlist_ StrList paths = { 0 };

		r = expand_word(folders, words->items[i], &paths);
		for (size_t k = 0; !r && k < paths.n; k++)
			r = deny_path(plan, paths.items[k]);
	}
	return r < 0 ? r : check_shell(plan);
}

/* ---- allow ---- */

/* Where both lists are given, deny wins: 1 for what it names. A folder that holds such a thing cannot be given as a whole. */
static int check_denied(Plan *plan, const char *path)
{
	for (size_t i = 0; i < plan->excluded.n; i++) {
		if (path_within(path, plan->excluded.items[i]))
			return 1;
		if (path_within(plan->excluded.items[i], path))
			return plan_refuse(plan, "%s: `%s` holds `%s`, which is denied or hidden", plan->allow_key,
				path, plan->excluded.items[i]);
	}
	return 0;
}

static int allow_path(Plan *plan, const char *path)
{
	_cleanup_free_ char *resolved = NULL;
	int r;

	r = path_resolve(path, &resolved);
	for (unsigned int i = 0; !r && i < INTERPRETERS_MAX; i++) {
		_cleanup_free_ char *interpreter = NULL;
		struct stat st;

		if (stat(resolved, &st) < 0)
			return 0; /* not installed; its folder is watched */
		r = check_denied(plan, resolved);
		if (r > 0)
			return 0;
		if (!r)
			r = check_place(plan, plan->allow_key, resolved);
		if (!r)
			r = paths_add(&plan->programs, resolved);
		if (r < 0 || !S_ISREG(st.st_mode))
			return r;
		r = program_interpreter(resolved, &interpreter);
		if (r < 0 || !interpreter)
			return r;
		free(resolved);
		resolved = NULL;
		r = path_resolve(interpreter, &resolved);
	}
	return r;
}

static int allow_word(Plan *plan, const StrList *folders, const char *word)
{
	_cleanup_strlist_ StrList paths = { 0 };
	int r;

	r = expand_word(folders, word, &paths);
	for (size_t i = 0; !r && i < paths.n; i++)
		r = allow_path(plan, paths.items[i]);
	return r;
}

/* Without these there is no login, and no user manager. */
static int allow_implied(Plan *plan, const StrList *folders)
{
	const Policy *policy = plan->request->policy;
	int r;

	r = allow_path(plan, shell_of(plan));
	/* what lists the files of a run: it reads what the agent may read, and no more */
	if (!r && !plan->request->bash)
		r = allow_path(plan, CREEL_LIBEXECDIR "/creel-collect");
	for (size_t i = 0; !r && !plan->request->bash && i < policy->subsystems.n; i++) {
		const char *program = strchr(policy->subsystems.items[i], '=');
		_cleanup_free_ char *path = program ? strndup(program + 1, strcspn(program + 1, " ")) : NULL;

		if (program)
			r = path ? allow_path(plan, path) : -ENOMEM;
	}
	if (!r && plan->request->manager)
		r = allow_path(plan, "/usr/lib/systemd");
	if (!r && plan->request->manager)
		r = allow_path(plan, "/usr/lib/systemd/systemd"); /* its interpreter */
	if (!r && plan->request->manager)
		r = allow_word(plan, folders, "dbus-daemon");
	return r;
}

static int allow_all(Plan *plan, const StrList *folders, const StrList *words)
{
	int r;

	r = allow_implied(plan, folders);
	for (size_t i = 0; !r && i < words->n; i++)
		r = allow_word(plan, folders, words->items[i]);
	for (size_t i = 0; !r && i < folders->n; i++)
		r = paths_add(&plan->excluded, folders->items[i]);
	return r < 0 ? r : programs_find(&plan->excluded);
}

/* What may change which file a name leads to, or bring new programs. */
static int watch_sources(Plan *plan, const StrList *folders)
{
	int r;

	r = watch_add(&plan->watch, "/etc/alternatives", true);
	if (!r)
		r = watch_add(&plan->watch, "/var/lib/dpkg/status", true);
	for (size_t i = 0; !r && i < folders->n; i++)
		r = watch_add(&plan->watch, folders->items[i], true);
	return r;
}

int plan_commands(Plan *plan)
{
	_cleanup_strlist_ StrList folders = { 0 };
	int r;

	if (!plan->allow->n && !plan->deny->n)
		return 0;
	r = programs_folders(&folders);
	if (!r)
		r = watch_sources(plan, &folders);
	if (!r && plan->deny->n)
		r = deny_all(plan, &folders, plan->deny);
	if (!r && plan->allow->n)
		r = allow_all(plan, &folders, plan->allow);
	return r;
}

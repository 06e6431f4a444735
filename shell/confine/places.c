/* SPDX-License-Identifier: MIT */
/*
 * [files] and the places that each agent may write.
 *
 * Of two places of which one lies in the other, the inner one decides: a home that is read_only with a workspace that is
 * not, a hidden /home with the agent's own home in it. The other way round - something stricter beneath a place that
 * may be written - is what Landlock cannot do (plan.h), and is refused.
 */
#include "shell/confine/plan.h"

#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>

void plan_done(Plan *plan)
{
	free(plan->home);
	strlist_done(&plan->write);
	strlist_done(&plan->readable);
	strlist_done(&plan->programs);
	strlist_done(&plan->excluded);
	watch_done(&plan->watch);
}

int plan_refuse(Plan *plan, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(plan->error->text, sizeof(plan->error->text), format, ap);
	va_end(ap);
	return -EINVAL;
}

/*
 * ~, ~/PATH, or absolute. Beneath the home nothing is resolved, and elsewhere no link but root's: others may be the agent's. What
 * is not resolved now is not opened through a link later, either.
 */
static int place_resolve(const Plan *plan, const char *text, char **ret)
{
	const char *home = plan->request->home, *rest = NULL;
	char *path;

	if (*text == '~')
		rest = text + 1;
	else if (path_within(text, home))
		rest = text + strlen(home);
	if (!rest)
		return path_resolve_trusted(text, ret);
	path = str_format("%s%s", plan->home, rest);
	if (!path)
		return -ENOMEM;
	*ret = path;
	return 0;
}

static int places_resolve(const Plan *plan, const StrList *texts, StrList *ret)
{
	for (size_t i = 0; i < texts->n; i++) {
		char *path = NULL;
		int r;

		r = place_resolve(plan, texts->items[i], &path);
		if (!r)
			r = strlist_push(ret, path);
		if (r < 0)
			return r;
	}
	return 0;
}

static bool within_any(const char *path, const StrList *trees)
{
	for (size_t i = 0; i < trees->n; i++)
		if (path_within(path, trees->items[i]))
			return true;
	return false;
}

static int default_places(const Plan *plan, StrList *ret)
{
	_cleanup_free_ char *runtime = str_format("/run/user/%u", (unsigned int)plan->request->uid);
	_cleanup_strlist_ StrList texts = { 0 };
	const char *workspace = plan->request->policy->workspace;
	int r;

	r = runtime ? strlist_add(&texts, runtime) : -ENOMEM;
	if (!r)
		r = strlist_add(&texts, "~");
	if (!r)
		r = strlist_add(&texts, "/tmp");
	if (!r)
		r = strlist_add(&texts, "/var/tmp");
	if (!r)
		r = strlist_add(&texts, "/dev/shm");
	if (!r) /* screen's sockets: a folder for all, sticky, and one in it that screen makes for each user */
		r = strlist_add(&texts, "/run/screen");
	if (!r)
		r = *workspace == '/' ? strlist_add(&texts, workspace)
				      : strlist_push(&texts, str_format("~/%s", workspace));
	if (r < 0)
		return r;
	return places_resolve(plan, &texts, ret);
}

/* Outer trees first in either list, so that what lies in one that is there already is left out. */
static int add_tree(Plan *plan, const char *path)
{
	return within_any(path, &plan->write) ? 0 : strlist_add(&plan->write, path);
}

static int check_stricter(Plan *plan, const char *key, const StrList *places)
{
	for (size_t i = 0; i < places->n; i++)
		for (size_t k = 0; k < plan->write.n; k++)
			if (path_within(places->items[i], plan->write.items[k]))
				return plan_refuse(plan,
					"[files] %s: `%s` is in `%s`, which the agent may write: this cannot be "
					"enforced there",
					key, places->items[i], plan->write.items[k]);
	return 0;
}

static int hide(Plan *plan, const StrList *hidden)
{
	for (size_t i = 0; i < hidden->n; i++) {
		struct stat st;
		int r;

		if (strcmp(hidden->items[i], "/") == 0)
			return plan_refuse(plan, "[files] hidden: `/` would leave nothing");
		/* one that is not there yet, or that cannot be looked at, may be a folder */
		if (lstat(hidden->items[i], &st) < 0 || S_ISDIR(st.st_mode))
			plan->hides_folder = true;
		r = paths_add(&plan->excluded, hidden->items[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int plan_places(Plan *plan)
{
	const Policy *policy = plan->request->policy;
	_cleanup_strlist_ StrList defaults = { 0 }, named = { 0 }, read_only = { 0 }, hidden = { 0 };
	int r;

	r = path_resolve(plan->request->home, &plan->home);
	if (!r)
		r = default_places(plan, &defaults);
	if (!r)
		r = places_resolve(plan, &policy->files_write, &named);
	if (!r)
		r = places_resolve(plan, &policy->files_read_only, &read_only);
	if (!r)
		r = places_resolve(plan, &policy->files_hidden, &hidden);
	for (size_t i = 0; !r && i < defaults.n; i++)
		if (!strlist_contains(&read_only, defaults.items[i]) && !strlist_contains(&hidden, defaults.items[i]))
			r = add_tree(plan, defaults.items[i]);
	for (size_t i = 0; !r && i < named.n; i++)
		r = add_tree(plan, named.items[i]);
	if (!r)
		r = check_stricter(plan, "read_only", &read_only);
	if (!r)
		r = check_stricter(plan, "hidden", &hidden);
	if (!r)
		r = hide(plan, &hidden);
	for (size_t i = 0; !r && i < read_only.n; i++)
		if (within_any(read_only.items[i], &hidden))
			r = strlist_add(&plan->readable, read_only.items[i]);
	return r;
}

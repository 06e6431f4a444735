/* SPDX-License-Identifier: MIT */
/*
 * Who is to be limited. As in creel-generator, users are read from passwd(5) itself: this runs before anything that a name
 * service might want to ask. Whoever has a mark is limited, with or without a policy file.
 */
#include "shell/enforce/enforce.h"
#include "shell/base/cleanup.h"
#include "shell/policy/agents.h"

#include <dirent.h>
#include <pwd.h>
#include <stdarg.h>
#include <string.h>

int enforce_reason(EnforceReason *ret_reason, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(ret_reason->text, sizeof(ret_reason->text), format, ap);
	va_end(ap);
	/* it becomes one line of a file */
	for (char *c = ret_reason->text; *c; c++)
		if ((unsigned char)*c < 0x20)
			*c = ' ';
	return error;
}

void enforce_agents_done(EnforceAgents *agents)
{
	for (size_t i = 0; i < agents->n; i++) {
		free(agents->items[i].name);
		(void)policy_free(agents->items[i].policy);
		enforced_done(&agents->items[i].enforced);
	}
	free(agents->items);
	(void)policy_free((Policy *)agents->machine);
	strlist_done(&agents->pins);
	*agents = (EnforceAgents){ 0 };
}

static EnforceAgent *find(const EnforceAgents *agents, uid_t uid)
{
	for (size_t i = 0; i < agents->n; i++)
		if (agents->items[i].uid == uid)
			return &agents->items[i];
	return NULL;
}

bool enforce_agents_has(const EnforceAgents *agents, uid_t uid)
{
	return find(agents, uid);
}

static int add(EnforceAgents *agents, uid_t uid, const char *name, EnforceAgent **ret)
{
	EnforceAgent *items = reallocarray(agents->items, agents->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	agents->items = items;
	items[agents->n] = (EnforceAgent){ .uid = uid, .name = strdup(name) };
	if (!items[agents->n].name)
		return -ENOMEM;
	*ret = &items[agents->n++];
	return 0;
}

/* The line of passwd(5) for a name. Returns 0, -ENOENT, or another negative errno. */
static int find_uid(const char *name, uid_t *ret)
{
	_cleanup_fclose_ FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	if (!file)
		return -errno;
	while ((entry = fgetpwent(file)))
		if (strcmp(entry->pw_name, name) == 0) {
			*ret = entry->pw_uid;
			return 0;
		}
	return -ENOENT;
}

static int add_policy(EnforceAgents *agents, const char *name)
{
	PolicyError error = { "" };
	EnforceAgent *agent;
	uid_t uid = 0;
	int r;

	r = find_uid(name, &uid);
	if (r == -ENOENT || (r == 0 && !agent_uid_in_range(uid)))
		return 0; /* creel-generator says so, at each reload */
	if (r < 0)
		return r;
	agent = find(agents, uid);
	if (agent) {
		/* two names of one uid: neither policy holds for it */
		agent->policy = policy_free(agent->policy);
		return 0;
	}
	r = add(agents, uid, name, &agent);
	if (r < 0)
		return r;
	agent->enforced.stamp = policy_stamp("", name);
	r = policy_load("", name, &agent->policy, &error);
	return r == -ENOMEM ? r : 0;
}

static int add_marked(EnforceAgents *agents)
{
	_cleanup_free_ AgentMark *marks = NULL;
	EnforceAgent *agent;
	size_t n = 0;
	int r;

	r = marks_list("", &marks, &n);
	for (size_t i = 0; i < n && !r; i++)
		if (!find(agents, marks[i].uid))
			r = add(agents, marks[i].uid, marks[i].name, &agent);
	return r;
}

static int by_uid(const void *a, const void *b)
{
	const EnforceAgent *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

int enforce_agents_load(EnforceAgents *ret, EnforceReason *ret_reason)
{
	_cleanup_strlist_ StrList names = { 0 };
	_cleanup_(enforce_agents_done) EnforceAgents agents = { 0 };
	PolicyError error = { "" };
	Policy *machine = NULL;
	int r;

	r = agents_list("", &names, NULL);
	for (size_t i = 0; i < names.n && !r; i++)
		r = add_policy(&agents, names.items[i]);
	if (!r)
		r = add_marked(&agents);
	if (r < 0)
		return enforce_reason(ret_reason, r, "cannot tell who is an agent: %s", strerror(-r));
	if (policy_load("", NULL, &machine, &error) == 0)
		agents.machine = machine;
	if (agents.n)
		qsort(agents.items, agents.n, sizeof(*agents.items), by_uid);
	*ret = agents;
	agents = (EnforceAgents){ 0 };
	return 0;
}

int enforce_forget_others(const char *path, const EnforceAgents *agents, EnforceForget forget, const void *userdata,
	EnforceReason *ret_reason)
{
	_cleanup_closedir_ DIR *dir = opendir(path);
	const struct dirent *entry;

	if (!dir)
		return errno == ENOENT ? 0 : enforce_reason(ret_reason, -errno, "%s: %s", path, strerror(errno));
	while ((entry = readdir(dir))) {
		uint64_t uid;
		int r = 0;

		if (str_to_u64(entry->d_name, AGENT_UID_MAX, &uid) < 0 || find(agents, (uid_t)uid))
			continue;
		if (forget)
			r = forget((uid_t)uid, userdata, ret_reason);
		if (r < 0)
			return r;
		if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			return enforce_reason(ret_reason, -errno, "%s: %s", path, strerror(errno));
	}
	return 0;
}

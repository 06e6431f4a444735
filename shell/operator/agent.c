/* SPDX-License-Identifier: MIT */
#include "shell/operator/operator.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <pwd.h>
#include <shadow.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

bool agent_uid_valid(const Agent *agent)
{
	return agent->has_user && agent_uid_in_range(agent->uid);
}

void agent_done(Agent *agent)
{
	free(agent->name);
	free(agent->file);
	free(agent->home);
	free(agent->shell);
	*agent = (Agent){ 0 };
}

/* usermod -e writes the day as days since 1970; on and after that day the account is closed (shadow(5)). */
static bool account_expired(const char *name)
{
	const struct spwd *entry = getspnam(name);

	return entry && entry->sp_expire >= 0 && time(NULL) / 86400 >= entry->sp_expire;
}

/* Whether the name was provisioned, and whether as the uid that the user has now. */
static int find_marks(Agent *agent)
{
	_cleanup_free_ AgentMark *marks = NULL;
	size_t n = 0;
	int r;

	r = marks_list("", &marks, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (strcmp(marks[i].name, agent->name) != 0)
			continue;
		agent->marked = true;
		if (agent->has_user && marks[i].uid == agent->uid)
			agent->uid_marked = true;
	}
	return 0;
}

int agent_find(const char *name, Agent *ret, Reason *ret_reason)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	const struct passwd *entry;
	struct stat st;
	char shown[128];
	int r;

	if (!policy_name_valid(name))
		return reason_set(ret_reason, -EINVAL, "`%s` is not a name for an agent: a-z, 0-9, - and _, at most %u",
			str_quote(name, strlen(name), shown, sizeof(shown)), POLICY_NAME_MAX);
	agent.name = strdup(name);
	agent.file = str_format("%s/agents/%s.conf", POLICY_DIR, name);
	if (!agent.name || !agent.file)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	agent.has_file = lstat(agent.file, &st) == 0;

	errno = 0;
	entry = getpwnam(name);
	if (!entry && errno && errno != ENOENT)
		return reason_set(ret_reason, -errno, "looking for user %s: %s", name, strerror(errno));
	if (entry) {
		agent.has_user = true;
		agent.uid = entry->pw_uid;
		agent.gid = entry->pw_gid;
		agent.home = strdup(entry->pw_dir);
		agent.shell = strdup(entry->pw_shell);
		if (!agent.home || !agent.shell)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		agent.locked = account_expired(name);
	}
	r = find_marks(&agent);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", POLICY_MARK_DIR, strerror(-r));
	*ret = agent;
	agent = (Agent){ 0 };
	return 0;
}

int agent_require(const char *name, Agent *ret, Reason *ret_reason)
{
	int r = agent_find(name, ret, ret_reason);

	if (r < 0)
		return r;
	if (!ret->has_file || !agent_uid_valid(ret))
		return reason_set(ret_reason, -ENOENT, "there is no agent `%s`: see creelctl agent list", name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int agent_names(StrList *ret, Reason *ret_reason)
{
	_cleanup_free_ AgentMark *marks = NULL;
	_cleanup_strlist_ StrList names = { 0 };
	size_t n = 0;
	int r;

	r = agents_list("", &names, NULL);
	if (r < 0)
		return reason_set(ret_reason, r, "%s/agents: %s", POLICY_DIR, strerror(-r));
	r = marks_list("", &marks, &n);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", POLICY_MARK_DIR, strerror(-r));
	for (size_t i = 0; i < n; i++) {
		if (!policy_name_valid(marks[i].name) || strlist_contains(&names, marks[i].name))
			continue;
		r = strlist_add(&names, marks[i].name);
		if (r < 0)
			return reason_set(ret_reason, r, "%s", strerror(-r));
	}
	if (names.n)
		qsort(names.items, names.n, sizeof(char *), by_name);
	*ret = names;
	names = (StrList){ 0 };
	return 0;
}

int agent_renamed(const Agent *agent, uid_t *ret_uid, char ret_name[static POLICY_NAME_MAX + 1])
{
	_cleanup_free_ AgentMark *marks = NULL;
	size_t n = 0;
	int r;

	r = marks_list("", &marks, &n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		bool own_name = strcmp(marks[i].name, agent->name) == 0,
		     own_uid = agent->has_user && marks[i].uid == agent->uid;
		const struct passwd *user = own_name ? getpwuid(marks[i].uid) : NULL;

		if (own_name == own_uid || (own_name && !user))
			continue;
		*ret_uid = marks[i].uid;
		(void)snprintf(ret_name, POLICY_NAME_MAX + 1, "%s", own_name ? user->pw_name : marks[i].name);
		return 1;
	}
	return 0;
}

int agent_unmark(const Agent *agent, Reason *ret_reason)
{
	_cleanup_free_ AgentMark *marks = NULL;
	size_t n = 0;
	int r;

	r = marks_list("", &marks, &n);
	for (size_t i = 0; r == 0 && i < n; i++)
		if (strcmp(marks[i].name, agent->name) == 0 ||
			(agent->has_user && agent->has_file && marks[i].uid == agent->uid))
			r = mark_clear("", marks[i].uid);
	return r < 0 ? reason_set(ret_reason, r, "%s: %s", POLICY_MARK_DIR, strerror(-r)) : 0;
}

int agents_lock(int *ret_fd, Reason *ret_reason)
{
	_cleanup_close_ int fd = -EBADF;

	if (mkdir("/run/creel", 0755) < 0 && errno != EEXIST)
		return reason_set(ret_reason, -errno, "/run/creel: %s", strerror(errno));
	fd = open("/run/creel/operator.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return reason_set(ret_reason, -errno, "/run/creel/operator.lock: %s", strerror(errno));
	if (flock(fd, LOCK_EX) < 0)
		return reason_set(ret_reason, -errno, "/run/creel/operator.lock: %s", strerror(errno));
	*ret_fd = TAKE_FD(fd);
	return 0;
}

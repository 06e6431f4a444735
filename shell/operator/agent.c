/* SPDX-License-Identifier: MIT */
#include "shell/operator/operator.h"

#include <fcntl.h>
#include <pwd.h>
#include <shadow.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#define UID_MIN 1000U
#define UID_MAX 59999U /* Debian policy 9.2 */

bool agent_uid_valid(const Agent *agent)
{
	return agent->has_user && agent->uid >= UID_MIN && agent->uid <= UID_MAX;
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

int agent_find(const char *name, Agent *ret, Reason *ret_reason)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	const struct passwd *entry;
	struct stat st;
	char shown[128];

	if (!policy_name_valid(name))
		return reason_set(ret_reason, -EINVAL,
			"`%s` is not a name for an agent: a-z, 0-9, - and _, at most %u",
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
	*ret = agent;
	agent = (Agent){ 0 };
	return 0;
}

static int is_policy(const struct dirent *entry)
{
	size_t n = strlen(entry->d_name);

	return n > 5 && entry->d_name[0] != '.' && strcmp(entry->d_name + n - 5, ".conf") == 0;
}

int agent_names(StrList *ret, Reason *ret_reason)
{
	_cleanup_strlist_ StrList names = { 0 };
	struct dirent **entries = NULL;
	int n, r = 0;

	n = scandir(POLICY_DIR "/agents", &entries, is_policy, alphasort);
	if (n < 0 && errno != ENOENT)
		return reason_set(ret_reason, -errno, "%s/agents: %s", POLICY_DIR, strerror(errno));
	for (int i = 0; i < n; i++) {
		entries[i]->d_name[strlen(entries[i]->d_name) - strlen(".conf")] = '\0';
		if (!r && policy_name_valid(entries[i]->d_name))
			r = strlist_add(&names, entries[i]->d_name);
		free(entries[i]);
	}
	free(entries);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", strerror(-r));
	*ret = names;
	names = (StrList){ 0 };
	return 0;
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

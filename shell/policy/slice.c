/* SPDX-License-Identifier: MIT */
#include "shell/policy/slice.h"

#include <stdio.h>
#include <string.h>

/* What stands behind `head`, or NULL. */
static const char *behind(const char *text, const char *head)
{
	size_t n = strlen(head);

	return strncmp(text, head, n) == 0 ? text + n : NULL;
}

static const char *behind_slice(const char *cgroup, uid_t uid)
{
	char head[64];

	(void)snprintf(head, sizeof(head), "0::/user.slice/user-%u.slice/", (unsigned int)uid);
	return behind(cgroup, head);
}

bool cgroup_in_unit(const char *cgroup, uid_t uid, const char *prefix)
{
	const char *rest = behind_slice(cgroup, uid);
	char head[64];

	(void)snprintf(head, sizeof(head), "%s@%u.service/", prefix, (unsigned int)uid);
	return rest && behind(rest, head);
}

bool cgroup_in_rescue(const char *cgroup, uid_t uid)
{
	char head[64];

	(void)snprintf(head, sizeof(head), "0::/creel.slice/creel-rescue@%u.service/", (unsigned int)uid);
	return behind(cgroup, head);
}

bool cgroup_is_agents(const char *cgroup, uid_t uid)
{
	return behind_slice(cgroup, uid) || cgroup_in_rescue(cgroup, uid);
}

const char *cgroup_session_scope(const char *cgroup, uid_t uid)
{
	const char *rest = behind_slice(cgroup, uid);
	size_t n = rest ? strlen(rest) : 0;

	if (n < 6 || !behind(rest, "session-") || strchr(rest, '/') || strcmp(rest + n - 6, ".scope") != 0)
		return NULL;
	return rest;
}

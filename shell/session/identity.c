/* SPDX-License-Identifier: MIT */
#include "shell/session/identity.h"
#include "shell/base/privilege.h"
#include "shell/policy/agents.h"

#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/fsuid.h>

#define GROUPS_MAX 256

int identity_load(uid_t uid, Identity **ret)
{
	_cleanup_(identity_freep) Identity *identity = NULL;
	gid_t groups[GROUPS_MAX];
	int n_groups = GROUPS_MAX;
	struct passwd *pw;

	if (!agent_uid_in_range(uid))
		return -EPERM;
	errno = 0;
	pw = getpwuid(uid);
	if (!pw)
		return errno == 0 || errno == ENOENT ? -ENOENT : -errno;

	identity = calloc(1, sizeof(*identity));
	if (!identity)
		return -ENOMEM;
	identity->uid = uid;
	identity->gid = pw->pw_gid;
	identity->name = strdup(pw->pw_name);
	identity->home = strdup(pw->pw_dir);
	identity->shell = strdup(pw->pw_shell && *pw->pw_shell ? pw->pw_shell : "/bin/sh");
	if (!identity->name || !identity->home || !identity->shell)
		return -ENOMEM;

	if (getgrouplist(identity->name, identity->gid, groups, &n_groups) < 0)
		return -EIO;
	identity->groups = calloc((size_t)n_groups, sizeof(gid_t));
	if (!identity->groups)
		return -ENOMEM;
	memcpy(identity->groups, groups, (size_t)n_groups * sizeof(gid_t));
	identity->n_groups = (size_t)n_groups;
	*ret = TAKE_PTR(identity);
	return 0;
}

Identity *identity_free(Identity *identity)
{
	if (identity) {
		free(identity->groups);
		free(identity->name);
		free(identity->home);
		free(identity->shell);
		free(identity);
	}
	return NULL;
}

int identity_borrow(const Identity *identity)
{
	/* gid first: it needs CAP_SETGID, which setfsuid() leaves in place, but the order reads as a drop */
	(void)setfsgid(identity->gid);
	(void)setfsuid(identity->uid);
	/* neither reports failure; an id that is not valid changes nothing, and the present one is returned (setfsuid(2)) */
	if (setfsgid((gid_t)-1) == (int)identity->gid && setfsuid((uid_t)-1) == (int)identity->uid)
		return 0;
	identity_give_back();
	return -EPERM;
}

void identity_give_back(void)
{
	(void)setfsuid(0);
	(void)setfsgid(0);
	/* what is permitted for other moments came into effect with that */
	(void)!privilege_lower(PRIVILEGE_SURROUNDINGS);
}

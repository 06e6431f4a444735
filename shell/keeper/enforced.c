/* SPDX-License-Identifier: MIT */
/*
 * What stands in the way of a login or a birth. Ports, processes and the like are not the keeper's work but creel-enforce's. Without them an agent would have more than
 * its policy says, so they are looked at before each login and birth: one small file, and an lstat(2) a pin.
 */
#include "shell/keeper/keeper.h"
#include "shell/base/file.h"
#include "shell/policy/enforced.h"

#include <string.h>

const char *keeper_unenforced(Keeper *keeper, char *reason, size_t size)
{
	_cleanup_enforced_ Enforced enforced = { 0 };
	char frozen[8];
	int r;

	/* what is born in a frozen slice stands still before its first step, and so would whoever waits for it */
	if (file_get_at(keeper->slice_fd, "cgroup.freeze", frozen, sizeof(frozen)) == 0 && strcmp(frozen, "1") == 0) {
		(void)snprintf(reason, size, "the agent is frozen by an operator (creelctl agent thaw %s)",
			keeper->identity->name);
		return reason;
	}
	r = enforced_read("", keeper->uid, &enforced);
	if (r < 0 && r != -ENOENT) {
		(void)snprintf(reason, size, "%s/%u: %s", ENFORCED_DIR, (unsigned int)keeper->uid, strerror(-r));
		return reason;
	}
	return enforced_lacks(r < 0 ? NULL : &enforced, keeper->policy, false, reason, size);
}

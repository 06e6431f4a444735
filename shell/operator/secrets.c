/* SPDX-License-Identifier: MIT */
/* What an agent's keeper kept for it (shell/creel-secret.c) goes with the agent; uids come back. */
#include "shell/operator/operator.h"
#include "shell/policy/agents.h"

#include <string.h>

int secrets_forget(uid_t uid, Reason *ret_reason)
{
	_cleanup_free_ char *folder = str_format(SECRETS_DIR "/%u", (unsigned int)uid);
	_cleanup_closedir_ DIR *dir = folder ? opendir(folder) : NULL;
	const struct dirent *entry;

	if (!folder)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (!dir)
		return errno == ENOENT ? 0 : reason_set(ret_reason, -errno, "%s: %s", folder, strerror(errno));
	/* a flat folder that only root can write to */
	while ((entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 &&
			unlinkat(dirfd(dir), entry->d_name, 0) < 0)
			return reason_set(ret_reason, -errno, "%s/%s: %s", folder, entry->d_name, strerror(errno));
	return rmdir(folder) == 0 ? 0 : reason_set(ret_reason, -errno, "%s: %s", folder, strerror(errno));
}

/* SPDX-License-Identifier: MIT */
#include "shell/keeper/place.h"
#include "shell/base/file.h"
#include "shell/policy/slice.h"

#include <fcntl.h>
#include <string.h>

bool place_is_scope(const char *place)
{
	return !strchr(place, '/');
}

bool place_parse(const char *cgroup, uid_t uid, char ret[static PLACE_SIZE])
{
	const char *found = cgroup_session_scope(cgroup, uid);
	size_t n = found ? strlen(found) : 0;

	if (!found && cgroup_in_unit(cgroup, uid, "creel-leaves")) {
		const char *session;

		found = strstr(cgroup, "/creel-leaves@") + 1;
		session = strchr(found, '/') + 1;
		if (strncmp(session, "session-", strlen("session-")) == 0)
			n = (size_t)(session - found) + strcspn(session, "/");
	}
	if (!n || n >= PLACE_SIZE)
		return false;
	memcpy(ret, found, n);
	ret[n] = '\0';
	return true;
}

int place_read(pid_t pid, uid_t uid, char ret[static PLACE_SIZE])
{
	char path[64], cgroup[512];
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)pid);
	/* what is longer, and cut here, is none of the places */
	r = file_get_at(AT_FDCWD, path, cgroup, sizeof(cgroup));
	if (r < 0)
		return r;
	return place_parse(cgroup, uid, ret) ? 0 : -ENODATA;
}

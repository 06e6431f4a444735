/* SPDX-License-Identifier: MIT */
/*
 * systemd 257.13 (Debian 13) reads new limits of a slice that runs at a daemon-reload, and hands them to the kernel with the next start
 * of a unit near it, which may be long after. A policy must hold when creelctl says so: what differs is written here, and is the same that
 * systemd writes later. Earlier versions hand limits down within the reload, or right behind it.
 */
#include "shell/operator/doctor.h"
#include "shell/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define GENERATED "/run/systemd/generator"
#define USER_SLICE "/sys/fs/cgroup/user.slice"
#define DROP_IN_MAX (64U * 1024)

/* A slice that is not there has nothing to hold. */
static int slice_hold(int generated_fd, const char *folder, int cgroup_fd, Reason *ret_reason)
{
	_cleanup_free_ char *path = str_format("%s/50-creel.conf", folder), *text = NULL;
	int r;

	if (!path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (cgroup_fd < 0 || file_read_at(generated_fd, path, 0, DROP_IN_MAX, &text, NULL) < 0)
		return 0;
	r = drift_mend(text, cgroup_fd);
	return r < 0 ? reason_set(ret_reason, r, "limits of %.*s: %s", (int)(strlen(folder) - 2), folder, strerror(-r))
		     : 0;
}

int limits_hold(const char *generated, const char *user_slice, Reason *ret_reason)
{
	_cleanup_closedir_ DIR *dir = opendir(generated);
	_cleanup_close_ int all_fd = open(user_slice, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;
	int r;

	if (!dir || all_fd < 0)
		return 0;
	r = slice_hold(dirfd(dir), "user.slice.d", all_fd, ret_reason);
	while (r == 0 && (entry = readdir(dir))) {
		_cleanup_close_ int fd = -EBADF;
		char slice[64];
		size_t n = strlen(entry->d_name);

		if (strncmp(entry->d_name, "user-", 5) != 0 || n < 8 || n - 2 >= sizeof(slice) ||
			strcmp(entry->d_name + n - 8, ".slice.d") != 0)
			continue;
		(void)snprintf(slice, sizeof(slice), "%.*s", (int)(n - 2), entry->d_name);
		fd = openat(all_fd, slice, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		r = slice_hold(dirfd(dir), entry->d_name, fd, ret_reason);
	}
	return r;
}

int units_reload(Reason *ret_reason)
{
	const char *const argv[] = { "/usr/bin/systemctl", "daemon-reload", NULL };
	int r = command_run(argv, ret_reason);

	return r ? r : limits_hold(GENERATED, USER_SLICE, ret_reason);
}

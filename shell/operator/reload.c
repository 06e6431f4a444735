/* SPDX-License-Identifier: MIT */
/*
 * systemd 257.13 (Debian 13) reads new limits of a slice that runs at a daemon-reload, and hands the kernel those that it had read before:
 * a policy would hold one change late. So the kernel is asked, and where it has not what was generated, systemd reads all again, which
 * hands down what is loaded. Earlier versions hand them down within the reload, or right behind it.
 */
#include "shell/operator/doctor.h"
#include "shell/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>

#define GENERATED "/run/systemd/generator"
#define USER_SLICE "/sys/fs/cgroup/user.slice"
#define DROP_IN_MAX (64U * 1024)
#define LOOKS 10U /* at the kernel, a twentieth of a second apart */

/* A slice that is not there has nothing to hold. */
static bool slice_behind(int generated_fd, const char *folder, int cgroup_fd)
{
	_cleanup_free_ char *path = str_format("%s/50-creel.conf", folder), *text = NULL;
	char difference[320];

	return cgroup_fd >= 0 && path && file_read_at(generated_fd, path, 0, DROP_IN_MAX, &text, NULL) == 0 &&
	       drift_slice(text, cgroup_fd, difference, sizeof(difference)) > 0;
}

bool limits_behind(const char *generated, const char *user_slice)
{
	_cleanup_closedir_ DIR *dir = opendir(generated);
	_cleanup_close_ int all_fd = open(user_slice, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct dirent *entry;

	if (!dir || all_fd < 0)
		return false;
	if (slice_behind(dirfd(dir), "user.slice.d", all_fd))
		return true;
	while ((entry = readdir(dir))) {
		_cleanup_close_ int fd = -EBADF;
		char slice[64];
		size_t n = strlen(entry->d_name);

		if (strncmp(entry->d_name, "user-", 5) != 0 || n < 8 || n - 2 >= sizeof(slice) ||
			strcmp(entry->d_name + n - 8, ".slice.d") != 0)
			continue;
		(void)snprintf(slice, sizeof(slice), "%.*s", (int)(n - 2), entry->d_name);
		fd = openat(all_fd, slice, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (slice_behind(dirfd(dir), entry->d_name, fd))
			return true;
	}
	return false;
}

int units_reload(Reason *ret_reason)
{
	static const struct timespec pause = { .tv_nsec = 50000000 };
	const char *const argv[] = { "/usr/bin/systemctl", "daemon-reload", NULL };
	int r = command_run(argv, ret_reason);

	for (unsigned i = 0; r == 0 && limits_behind(GENERATED, USER_SLICE); i++) {
		if (i == LOOKS)
			return command_run(argv, ret_reason);
		(void)nanosleep(&pause, NULL);
	}
	return r;
}

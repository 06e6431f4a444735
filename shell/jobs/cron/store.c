/* SPDX-License-Identifier: MIT */
/*
 * The lock is one of the folder itself (flock), so that no file of a lock lies about. Readers need none: the file is
 * replaced by rename(2).
 *
 * The boot's id lies in ~/.local/state/creel, and not in the folder of the login, which goes when the user manager is stopped.
 */
#include "shell/jobs/cron/store.h"
#include "shell/base/file.h"
#include "shell/jobs/cron/crontab.h"

#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#define STATE_FOLDER ".local/state/creel"
#define STATE_FILE "cron-boot"
#define BOOT_ID "/proc/sys/kernel/random/boot_id"

char *store_path(void)
{
	return home_path(STORE_FOLDER, STORE_FILE);
}

int store_read(char **ret, size_t *ret_n, Reason *ret_reason)
{
	_cleanup_free_ char *path = store_path();
	int r;

	if (!path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = file_read_at(AT_FDCWD, path, 0, CRONTAB_BYTES_MAX, ret, ret_n);
	if (r == -E2BIG)
		return reason_set(ret_reason, r, "%s is larger than %u KiB", path, CRONTAB_BYTES_MAX / 1024);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", path, strerror(-r));
	return 0;
}

int store_lock(Reason *ret_reason)
{
	_cleanup_close_ int fd = folder_open(STORE_FOLDER, true, ret_reason);

	if (fd < 0)
		return fd;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR)
			return reason_set(ret_reason, -errno, "~/" STORE_FOLDER ": %s", strerror(errno));
	return TAKE_FD(fd);
}

int store_write(int folder_fd, const char *text, size_t n, Reason *ret_reason)
{
	return folder_put(folder_fd, STORE_FOLDER, STORE_FILE, text, n, 0600, ret_reason);
}

int store_remove(int folder_fd, Reason *ret_reason)
{
	if (unlinkat(folder_fd, STORE_FILE, 0) < 0)
		return reason_set(ret_reason, -errno, "~/" STORE_FOLDER "/" STORE_FILE ": %s", strerror(errno));
	return 0;
}

bool store_boot(void)
{
	_cleanup_free_ char *path = home_path(STATE_FOLDER, STATE_FILE);
	_cleanup_close_ int fd = -EBADF;
	char now[64] = "", before[64] = "";
	Reason reason;

	if (!path || file_get_at(AT_FDCWD, BOOT_ID, now, sizeof(now)) < 0)
		return true;
	if (file_get_at(AT_FDCWD, path, before, sizeof(before)) >= 0 && strcmp(now, before) == 0)
		return false;
	fd = folder_open(STATE_FOLDER, true, &reason);
	if (fd >= 0 && folder_put(fd, STATE_FOLDER, STATE_FILE, now, strlen(now), 0600, &reason) < 0)
		return true; /* a disk that is full: rather twice than not at all */
	return true;
}

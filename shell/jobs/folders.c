/* SPDX-License-Identifier: MIT */
#include "shell/jobs/folders.h"
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

const char *home_folder(void)
{
	const char *home = getenv("HOME");
	const struct passwd *user;

	if (home && *home == '/')
		return home;
	user = getpwuid(getuid());
	return user && user->pw_dir && *user->pw_dir == '/' ? user->pw_dir : "/";
}

char *home_path(const char *below, const char *name)
{
	return str_format("%s/%s%s%s", home_folder(), below, name ? "/" : "", name ? name : "");
}

static int open_below(int fd, const char *name, bool make)
{
	int folder_fd;

	if (make && mkdirat(fd, name, 0755) < 0 && errno != EEXIST)
		return -errno;
	folder_fd = openat(fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return folder_fd < 0 ? -errno : folder_fd;
}

int folder_open(const char *below, bool make, Reason *ret_reason)
{
	_cleanup_close_ int fd = open(home_folder(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[NAME_MAX + 1];
	const char *rest = below;

	if (fd < 0)
		return reason_set(ret_reason, -errno, "%s: %s", home_folder(), strerror(errno));
	while (*rest) {
		size_t n = strcspn(rest, "/");
		int next;

		(void)snprintf(name, sizeof(name), "%.*s", (int)n, rest);
		next = open_below(fd, name, make);
		if (next < 0)
			return reason_set(ret_reason, next, "~/%.*s: %s%s", (int)(rest + n - below), below,
				strerror(-next), next == -ENOTDIR || next == -EEXIST ? "; move that file away" : "");
		fd_close(fd);
		fd = next;
		rest += n + strspn(rest + n, "/");
	}
	return TAKE_FD(fd);
}

/* ---- files ---- */

int folder_put(
	int folder_fd, const char *below, const char *name, const char *text, size_t n, mode_t mode, Reason *ret_reason)
{
	_cleanup_close_ int fd = -EBADF;
	char new_name[NAME_MAX + 1];
	int r = 0;

	/* of this process alone; one that died half-way is replaced */
	(void)snprintf(new_name, sizeof(new_name), ".%.200s.%d", name, (int)getpid());
	(void)unlinkat(folder_fd, new_name, 0);
	fd = openat(folder_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, mode);
	if (fd < 0)
		r = -errno;
	if (!r)
		r = file_write_all(fd, text, n);
	/* with a quota or a network below it, only now is it known whether there was room */
	if (!r && fsync(fd) < 0)
		r = -errno;
	if (!r && renameat(folder_fd, new_name, folder_fd, name) < 0)
		r = -errno;
	if (r < 0) {
		(void)unlinkat(folder_fd, new_name, 0);
		return reason_set(ret_reason, r, "~/%s/%s: %s%s", below, name, strerror(-r),
			r == -ENOSPC || r == -EDQUOT ? "; make room first: `creel status` shows what is used" : "");
	}
	return 0;
}

int folder_log(int folder_fd, const char *name, bool keep)
{
	_cleanup_close_ int fd = -EBADF;
	char old_name[NAME_MAX + 1];
	struct stat st;

	(void)snprintf(old_name, sizeof(old_name), "%.200s.old", name);
	if (keep && fstatat(folder_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) && st.st_size > 0 &&
		renameat(folder_fd, name, folder_fd, old_name) < 0)
		return -errno;
	fd = openat(
		folder_fd, name, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NOCTTY | O_NONBLOCK, 0644);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? TAKE_FD(fd) : -ENOTSUP;
}

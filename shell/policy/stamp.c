/* SPDX-License-Identifier: MIT */
/*
 * A file that was edited without telling anybody must not leave its old policy in force for weeks. Times have
 * the kernel's tick as their grain, so the inode and the size are looked at as well, and the change time that
 * no tool can set back.
 */
#include "shell/policy/policy.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define FNV_START UINT64_C(14695981039346656037)

/* FNV-1a, 64 bits: told apart must be changes, not attacks; the files are root's. */
static uint64_t mix(uint64_t stamp, const void *data, size_t n)
{
	const unsigned char *bytes = data;

	for (size_t i = 0; i < n; i++)
		stamp = (stamp ^ bytes[i]) * UINT64_C(1099511628211);
	return stamp;
}

static uint64_t mix_file(uint64_t stamp, int dir_fd, const char *path)
{
	struct stat st;
	uint64_t parts[8] = { 0 };

	if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0) {
		parts[0] = (uint64_t)errno;
	} else {
		parts[1] = st.st_dev;
		parts[2] = st.st_ino;
		parts[3] = (uint64_t)st.st_size;
		parts[4] = (uint64_t)st.st_mtim.tv_sec * 1000000000U + (uint64_t)st.st_mtim.tv_nsec;
		parts[5] = (uint64_t)st.st_ctim.tv_sec * 1000000000U + (uint64_t)st.st_ctim.tv_nsec;
		parts[6] = st.st_mode;
		parts[7] = st.st_uid;
	}
	return mix(stamp, parts, sizeof(parts));
}

/*
 * Every profile, because which ones count is written inside the files that name them. An edit in place leaves the folder
 * as it was; so each file is looked at, and their sum does not depend on the order in which the folder lists them.
 */
static uint64_t mix_profiles(uint64_t stamp, const char *root)
{
	_cleanup_closedir_ DIR *dir = NULL;
	uint64_t sum = 0, count = 0;
	struct dirent *entry;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s%s", root, POLICY_PROFILE_DIR);
	dir = opendir(path);
	while (dir && (entry = readdir(dir))) {
		if (entry->d_name[0] == '.')
			continue;
		sum += mix_file(mix(FNV_START, entry->d_name, strlen(entry->d_name)), dirfd(dir), entry->d_name);
		count++;
	}
	stamp = mix(stamp, &count, sizeof(count));
	return mix(stamp, &sum, sizeof(sum));
}

uint64_t policy_stamp(const char *root, const char *name)
{
	uint64_t stamp = FNV_START;
	char path[4096];

	(void)snprintf(path, sizeof(path), "%s%s/creel.conf", root, POLICY_DIR);
	stamp = mix_file(stamp, AT_FDCWD, path);
	stamp = mix_profiles(stamp, root);
	if (name && policy_name_valid(name)) {
		(void)snprintf(path, sizeof(path), "%s%s/agents/%s.conf", root, POLICY_DIR, name);
		stamp = mix_file(stamp, AT_FDCWD, path);
	}
	return stamp;
}

/* SPDX-License-Identifier: MIT */
/* A cgroup's number is the inode of its folder. The tree is searched for it: to open it by number needs a privilege. */
#include "shell/jobs/cgroup.h"
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define DEPTH_MAX 16U
#define PROCESSES_MAX (64U * 1024) /* bytes of cgroup.procs */

/* `path` has room for `size` bytes, and is the cgroup's when it is found. */
static bool search(char *path, size_t size, uint64_t id, unsigned int depth)
{
	_cleanup_closedir_ DIR *folder = NULL;
	size_t n = strlen(path);
	const struct dirent *entry;
	struct stat st;

	if (stat(path, &st) < 0)
		return false;
	if (st.st_ino == id)
		return true;
	folder = depth ? opendir(path) : NULL;
	while (folder && (entry = readdir(folder))) {
		if (entry->d_type != DT_DIR || *entry->d_name == '.' || n + 1 + strlen(entry->d_name) >= size)
			continue;
		(void)snprintf(path + n, size - n, "/%s", entry->d_name);
		if (search(path, size, id, depth - 1))
			return true;
		path[n] = 0;
	}
	return false;
}

static bool search_below(const char *below, uint64_t id, char *path, size_t size)
{
	int n = snprintf(path, size, CGROUP_ROOT "%s", below);

	return id && n > 0 && (size_t)n < size && search(path, size, id, DEPTH_MAX);
}

bool cgroup_holds(const char *path, uint64_t id)
{
	char found[sizeof(CGROUP_ROOT) + CGROUP_PATH_MAX];

	return *path && search_below(path, id, found, sizeof(found));
}

bool cgroup_path(uid_t uid, uint64_t id, char *buffer, size_t size)
{
	char slice[64], found[sizeof(CGROUP_ROOT) + CGROUP_PATH_MAX];

	(void)snprintf(slice, sizeof(slice), "/user.slice/user-%u.slice", (unsigned int)uid);
	if (!search_below(slice, id, found, sizeof(found)))
		return false;
	(void)snprintf(buffer, size, "%s", found + strlen(CGROUP_ROOT));
	return true;
}

pid_t cgroup_process(const char *path)
{
	_cleanup_free_ char *file = str_format(CGROUP_ROOT "%s/cgroup.procs", path), *text = NULL;
	size_t n;

	if (!file || file_read_at(AT_FDCWD, file, 0, PROCESSES_MAX, &text, &n) < 0)
		return 0;
	return (pid_t)strtol(text, NULL, 10);
}

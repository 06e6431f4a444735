/* SPDX-License-Identifier: MIT */
#include "shell/run/leaf.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#define CGROUP_ROOT "/sys/fs/cgroup"
#define CPU_PERIOD_USEC 100000U
#define PROCS_MAX (1U << 20) /* bytes of a cgroup.procs */

int leaf_open(int parent_fd, const char *name, int *ret_fd)
{
	int fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int leaf_open_unit(const char *slice, const char *unit, int *ret_fd)
{
	/* user-1000.slice lies in user.slice: a dash in a slice's name is a level (systemd.slice(5)) */
	_cleanup_free_ char *path = NULL;
	const char *dash = strchr(slice, '-');

	if (dash)
		path = str_format(CGROUP_ROOT "/%.*s.slice/%s/%s", (int)(dash - slice), slice, slice, unit ? unit : "");
	else
		path = str_format(CGROUP_ROOT "/%s/%s", slice, unit ? unit : "");
	if (!path)
		return -ENOMEM;
	return leaf_open(AT_FDCWD, path, ret_fd);
}

static int enable_controllers(int fd)
{
	return file_put_at(fd, "cgroup.subtree_control", "+cpu +memory +pids");
}

int leaf_prepare_unit(int unit_fd)
{
	char procs[4096], *line, *rest = procs;
	int r;

	if (mkdirat(unit_fd, "hold", 0755) < 0 && errno != EEXIST)
		return -errno;

	/* a cgroup whose controllers serve its children may hold no process itself (cgroup-v2.rst) */
	r = file_get_at(unit_fd, "cgroup.procs", procs, sizeof(procs));
	if (r < 0)
		return r;
	while ((line = strsep(&rest, "\n"))) {
		if (!*line)
			continue;
		r = file_put_at(unit_fd, "hold/cgroup.procs", line);
		if (r < 0 && r != -ESRCH)
			return r;
	}
	return enable_controllers(unit_fd);
}

static int put_limit(int fd, const char *file, uint64_t value)
{
	char text[24] = "max";

	if (value != LEAF_UNLIMITED)
		(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return file_put_at(fd, file, text);
}

static int put_cpu_limit(int fd, uint64_t usec)
{
	char quota[48] = "max";

	if (usec != LEAF_UNLIMITED)
		(void)snprintf(quota, sizeof(quota), "%llu %u", (unsigned long long)(usec * CPU_PERIOD_USEC / 1000000U),
			CPU_PERIOD_USEC);
	return file_put_at(fd, "cpu.max", quota);
}

int leaf_limit(int leaf_fd, const LeafLimits *limits)
{
	int r;

	r = put_limit(leaf_fd, "memory.max", limits->memory);
	if (!r)
		r = put_limit(leaf_fd, "pids.max", limits->tasks);
	return r < 0 ? r : put_cpu_limit(leaf_fd, limits->cpu);
}

/* A new cgroup is unlimited. */
static int apply_limits(int fd, const LeafLimits *limits)
{
	int r = 0;

	if (limits->memory != LEAF_UNLIMITED)
		r = put_limit(fd, "memory.max", limits->memory);
	if (!r && limits->tasks != LEAF_UNLIMITED)
		r = put_limit(fd, "pids.max", limits->tasks);
	return r < 0 || limits->cpu == LEAF_UNLIMITED ? r : put_cpu_limit(fd, limits->cpu);
}

int leaf_make(int parent_fd, const char *name, const LeafLimits *limits, bool branch, int *ret_fd)
{
	_cleanup_close_ int fd = -EBADF;
	int r;

	/* to be walked through, not to be read: attributes of a session tell who asked for what from where (getxattr(2)) */
	if (mkdirat(parent_fd, name, 0711) < 0)
		return -errno;
	r = leaf_open(parent_fd, name, &fd);
	if (!r && limits)
		r = apply_limits(fd, limits);
	if (!r && branch)
		r = enable_controllers(fd);
	if (r < 0) {
		(void)unlinkat(parent_fd, name, AT_REMOVEDIR);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int leaf_remove(int parent_fd, const char *name)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	int fd;

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != EBUSY && errno != ENOTEMPTY)
		return -errno;

	fd = openat(parent_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	dir = fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return -ENOMEM;
	}
	while ((entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			(void)unlinkat(dirfd(dir), entry->d_name, AT_REMOVEDIR);

	if (unlinkat(parent_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	return errno == ENOTEMPTY ? -EBUSY : -errno;
}

int leaf_number(int leaf_fd, const char *file, uint64_t *ret)
{
	char text[32];
	int r;

	r = file_get_at(leaf_fd, file, text, sizeof(text));
	if (r < 0)
		return r;
	if (strcmp(text, "max") == 0) {
		*ret = LEAF_UNLIMITED;
		return 0;
	}
	return str_to_u64(text, UINT64_MAX, ret);
}

static uint64_t keyed_value(const char *text, const char *key)
{
	uint64_t value;

	return keyed_u64(text, key, &value) < 0 ? 0 : value;
}

int leaf_keyed(int leaf_fd, const char *file, const char *key, uint64_t *ret)
{
	char text[8192];
	int r;

	r = file_get_at(leaf_fd, file, text, sizeof(text));
	if (r < 0)
		return r;
	return keyed_u64(text, key, ret);
}

#define REFUSED_CGROUPS_MAX 256
#define REFUSED_DEPTH_MAX 8

static uint64_t forks_refused(int branch_fd, unsigned int depth, unsigned int *left)
{
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;
	uint64_t sum = 0;
	int fd;

	if (leaf_keyed(branch_fd, "pids.events", "max", &sum) < 0)
		sum = 0;
	if (depth == REFUSED_DEPTH_MAX)
		return sum;
	/* a description of its own: the caller's keeps its place */
	fd = openat(branch_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir) {
		fd_close(fd);
		return sum;
	}
	while (*left > 0 && (entry = readdir(dir))) {
		_cleanup_close_ int child_fd = -EBADF;

		if (entry->d_type != DT_DIR || entry->d_name[0] == '.' ||
			leaf_open(branch_fd, entry->d_name, &child_fd) < 0)
			continue;
		(*left)--;
		sum += forks_refused(child_fd, depth + 1, left);
	}
	return sum;
}

uint64_t leaf_forks_refused(int branch_fd)
{
	unsigned int left = REFUSED_CGROUPS_MAX;

	return forks_refused(branch_fd, 0, &left);
}

static const struct {
	const char *file, *key; /* NULL: the file is the number */
	size_t offset;
} meters_table[] = {
	{ "cpu.stat", "usage_usec", offsetof(LeafUsage, cpu_usec) },
	{ "memory.peak", NULL, offsetof(LeafUsage, memory_peak) },
	{ "memory.events", "oom_kill", offsetof(LeafUsage, oom_kills) },
	{ "pids.events", "max", offsetof(LeafUsage, tasks_refused) },
};

_Static_assert(ELEMENTSOF(meters_table) == LEAF_METERS, "a meter has no row, or the other way round");

void leaf_meters_open(int leaf_fd, LeafMeters *ret)
{
	for (size_t i = 0; i < LEAF_METERS; i++)
		ret->fds[i] = openat(leaf_fd, meters_table[i].file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
}

void leaf_meters_done(LeafMeters *meters)
{
	for (size_t i = 0; i < LEAF_METERS; i++)
		meters->fds[i] = fd_close(meters->fds[i]);
}

void leaf_meters_read(const LeafMeters *meters, LeafUsage *ret)
{
	char text[1024];

	*ret = (LeafUsage){ 0 };
	for (size_t i = 0; i < LEAF_METERS; i++) {
		uint64_t *value = (uint64_t *)((char *)ret + meters_table[i].offset);
		ssize_t n = meters->fds[i] < 0 ? 0 : pread(meters->fds[i], text, sizeof(text) - 1, 0);

		if (n <= 0)
			continue;
		text[n] = '\0';
		text[strcspn(text, meters_table[i].key ? "" : "\n")] = '\0';
		if (meters_table[i].key)
			*value = keyed_value(text, meters_table[i].key);
		else if (str_to_u64(text, UINT64_MAX, value) < 0)
			*value = 0;
	}
}

void leaf_usage(int leaf_fd, LeafUsage *ret)
{
	_cleanup_(leaf_meters_done) LeafMeters meters = LEAF_METERS_NONE;

	leaf_meters_open(leaf_fd, &meters);
	leaf_meters_read(&meters, ret);
}

int leaf_kill(int leaf_fd)
{
	return file_put_at(leaf_fd, "cgroup.kill", "1");
}

int leaf_populated(int leaf_fd, bool *ret)
{
	uint64_t populated;
	int r;

	r = leaf_keyed(leaf_fd, "cgroup.events", "populated", &populated);
	if (r < 0)
		return r;
	*ret = populated != 0;
	return 0;
}

bool leaf_has_process(int leaf_fd, pid_t pid)
{
	_cleanup_close_ int fd = openat(leaf_fd, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ char *procs = NULL;
	char *line, *rest;

	if (fd < 0 || file_read_fd(fd, PROCS_MAX, &procs, NULL) < 0)
		return false;
	rest = procs;
	while ((line = strsep(&rest, "\n")))
		if (*line && atoi(line) == pid)
			return true;
	return false;
}

int leaf_mark(int leaf_fd, const char *name, const char *value)
{
	char attribute[64];
	size_t n = strnlen(value, LEAF_MARK_MAX);

	(void)snprintf(attribute, sizeof(attribute), "user.creel.%s", name);
	return fsetxattr(leaf_fd, attribute, value, n, 0) < 0 ? -errno : 0;
}

int leaf_mark_number(int leaf_fd, const char *name, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	return leaf_mark(leaf_fd, name, text);
}

int leaf_marked(int leaf_fd, const char *name, char **ret)
{
	_cleanup_free_ char *value = malloc(LEAF_MARK_MAX + 1);
	char attribute[64];
	ssize_t n;

	if (!value)
		return -ENOMEM;
	(void)snprintf(attribute, sizeof(attribute), "user.creel.%s", name);
	n = fgetxattr(leaf_fd, attribute, value, LEAF_MARK_MAX);
	if (n < 0)
		return -errno;
	value[n] = '\0';
	*ret = TAKE_PTR(value);
	return 0;
}

int leaf_marked_number(int leaf_fd, const char *name, uint64_t *ret)
{
	_cleanup_free_ char *value = NULL;
	int r;

	r = leaf_marked(leaf_fd, name, &value);
	if (r < 0)
		return r;
	return str_to_u64(value, UINT64_MAX, ret);
}

bool leaf_is_marked(int leaf_fd, const char *name)
{
	_cleanup_free_ char *value = NULL;

	return leaf_marked(leaf_fd, name, &value) == 0;
}

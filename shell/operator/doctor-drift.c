/* SPDX-License-Identifier: MIT */
/*
 * What should be, beside what is. The generator is asked what it makes of the policies now, and its answer is compared with
 * what the service manager loaded and with the kernel's own numbers: so nothing here repeats how a policy becomes a limit,
 * and whatever the generator learns to write is compared as well.
 */
#include "shell/operator/doctor.h"
#include "shell/base/file.h"
#include "shell/base/keyed.h"

#include <fcntl.h>
#include <string.h>

#define DROP_IN "50-creel.conf"
#define DROP_IN_MAX (64U * 1024)

/* user-1000.slice.d, user@1000.service.d, creel-keeper@1000.socket: whose it is. DRIFT_MACHINE: no agent's. */
static uid_t name_uid(const char *name)
{
	size_t at = strcspn(name, "-@");
	char digits[16];
	uint64_t uid;

	while (name[at]) {
		size_t n = strspn(name + at + 1, "0123456789");

		if (n && n < sizeof(digits) && name[at + 1 + n] == '.') {
			(void)snprintf(digits, sizeof(digits), "%.*s", (int)n, name + at + 1);
			if (str_to_u64(digits, UINT32_MAX - 1, &uid) == 0)
				return (uid_t)uid;
		}
		at += 1 + strcspn(name + at + 1, "-@");
	}
	return DRIFT_MACHINE;
}

static bool ends_with(const char *text, const char *end)
{
	size_t n = strlen(text), k = strlen(end);

	return n >= k && strcmp(text + n - k, end) == 0;
}

/* A file's text, or where a link leads. */
static int read_entry(int dir_fd, const char *path, char **ret)
{
	char target[512];
	ssize_t n = readlinkat(dir_fd, path, target, sizeof(target) - 1);

	if (n < 0 && errno == EINVAL)
		return file_read_at(dir_fd, path, O_NOFOLLOW, DROP_IN_MAX, ret, NULL);
	if (n < 0)
		return -errno;
	target[n] = '\0';
	*ret = strdup(target);
	return *ret ? 0 : -ENOMEM;
}

/* Ours: a drop-in of our name, or a wish to start one of our units. */
static bool entry_is_ours(const char *folder, const char *name)
{
	if (ends_with(folder, ".d"))
		return strcmp(name, DROP_IN) == 0;
	return ends_with(folder, ".wants") && strncmp(name, "creel-", strlen("creel-")) == 0;
}

/* Everything of ours in `a` must be in `b`, the same; `missing` says what it means when it is not. */
static int compare(int a_fd, int b_fd, const char *folder, uid_t uid, const char *missing, char *ret, size_t size)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int fd = openat(a_fd, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), r;

	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		r = -errno;
		(void)fd_close(fd);
		return r;
	}
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL, *a = NULL, *b = NULL;

		if (!entry_is_ours(folder, entry->d_name) ||
			name_uid(ends_with(folder, ".d") ? folder : entry->d_name) != uid)
			continue;
		path = str_format("%s/%s", folder, entry->d_name);
		if (!path)
			return -ENOMEM;
		r = read_entry(a_fd, path, &a);
		if (r < 0)
			return r;
		r = read_entry(b_fd, path, &b);
		if (r == -ENOENT) {
			(void)snprintf(ret, size, "%s %s", path, missing);
			return 1;
		}
		if (r < 0)
			return r;
		if (!str_equal(a, b)) {
			(void)snprintf(ret, size, "%s is not what the policies give now", path);
			return 1;
		}
	}
	return 0;
}

static int compare_folders(int a_fd, int b_fd, uid_t uid, const char *missing, char *ret, size_t size)
{
	_cleanup_closedir_ DIR *dir = NULL;
	const struct dirent *entry;
	int fd = openat(a_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	dir = fd >= 0 ? fdopendir(fd) : NULL;
	if (!dir) {
		r = -errno;
		(void)fd_close(fd);
		return r;
	}
	while (r == 0 && (entry = readdir(dir)))
		if (ends_with(entry->d_name, ".d") || ends_with(entry->d_name, ".wants"))
			r = compare(a_fd, b_fd, entry->d_name, uid, missing, ret, size);
	return r;
}

int drift_units(int fresh_fd, int loaded_fd, uid_t uid, char *ret, size_t size)
{
	int r = compare_folders(fresh_fd, loaded_fd, uid, "is not there", ret, size);

	return r ? r : compare_folders(loaded_fd, fresh_fd, uid, "is left of an older policy", ret, size);
}

/* ---- a slice's limits ---- */

/* "512M" and the like are not written by the generator: digits, or infinity. */
static int parse_bytes(const char *text, uint64_t *ret)
{
	if (strcmp(text, "infinity") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return str_to_u64(text, UINT64_MAX - 1, ret);
}

/* The kernel keeps whole pages. */
static int parse_memory(const char *text, uint64_t *ret)
{
	int r = parse_bytes(text, ret);

	if (r == 0 && *ret != UINT64_MAX)
		*ret -= *ret % (uint64_t)sysconf(_SC_PAGESIZE);
	return r;
}

/* "200.00%" of a core -> microseconds a second; nothing is no limit. */
static int parse_quota(const char *text, uint64_t *ret)
{
	unsigned long long whole, part;

	if (!*text) {
		*ret = UINT64_MAX;
		return 0;
	}
	if (sscanf(text, "%llu.%2llu%%", &whole, &part) != 2)
		return -EINVAL;
	*ret = whole * 10000 + part * 100;
	return 0;
}

static int kernel_number(const char *text, uint64_t *ret)
{
	if (strcmp(text, "max") == 0) {
		*ret = UINT64_MAX;
		return 0;
	}
	return str_to_u64(text, UINT64_MAX - 1, ret);
}

/* io.weight: "default 100", then devices. */
static int kernel_weight(const char *text, uint64_t *ret)
{
	char digits[16];

	if (strncmp(text, "default ", 8) != 0)
		return kernel_number(text, ret);
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)strcspn(text + 8, "\n"), text + 8);
	return str_to_u64(digits, UINT64_MAX - 1, ret);
}

static void number_text(uint64_t value, char *ret, size_t size)
{
	if (value == UINT64_MAX)
		(void)snprintf(ret, size, "max");
	else
		(void)snprintf(ret, size, "%llu", (unsigned long long)value);
}

/* Of a tenth of a second, as systemd has it. */
static void quota_text(uint64_t value, char *ret, size_t size)
{
	number_text(value == UINT64_MAX ? value : value / 10, ret, size);
	(void)snprintf(ret + strlen(ret), size - strlen(ret), " 100000");
}

static void weight_text(uint64_t value, char *ret, size_t size)
{
	(void)snprintf(ret, size, "default %llu", (unsigned long long)value);
}

typedef struct SliceLimit {
	const char *key, *file;
	int (*wanted)(const char *text, uint64_t *ret);
	int (*kernel)(const char *text, uint64_t *ret);
	void (*text)(uint64_t value, char *ret, size_t size);
} SliceLimit;

static const SliceLimit limits[] = {
	{ "MemoryMax", "memory.max", parse_memory, kernel_number, number_text },
	{ "MemorySwapMax", "memory.swap.max", parse_memory, kernel_number, number_text },
	{ "TasksMax", "pids.max", parse_bytes, kernel_number, number_text },
	{ "CPUQuota", "cpu.max", parse_quota, cpu_max_parse, quota_text },
	{ "CPUWeight", "cpu.weight", parse_bytes, kernel_number, number_text },
	{ "IOWeight", "io.weight", parse_bytes, kernel_weight, weight_text },
};

/* The last `KEY=value` line holds. False: there is none. */
static bool find_value(const char *text, const char *key, char *buffer, size_t size)
{
	size_t n = strlen(key);
	bool found = false;

	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, key, n) != 0 || line[n] != '=')
			continue;
		(void)snprintf(buffer, size, "%.*s", (int)strcspn(line + n + 1, "\n"), line + n + 1);
		found = true;
	}
	return found;
}

/* What one limit should be and is. Returns 1 with both as texts when they differ, 0, or a negative errno. */
static int limit_differs(const SliceLimit *limit, const char *drop_in, int cgroup_fd, char text[static 64],
	uint64_t *ret_wanted, char kernel[static 256])
{
	uint64_t wanted = 0, is = 0;
	int r;

	if (!find_value(drop_in, limit->key, text, 64))
		return 0;
	r = limit->wanted(text, &wanted);
	if (r < 0)
		return r;
	*ret_wanted = wanted;
	r = file_get_at(cgroup_fd, limit->file, kernel, 256);
	if (r < 0)
		(void)snprintf(kernel, 256, "%s", r == -ENOENT ? "not there" : strerror(-r));
	else
		r = limit->kernel(kernel, &is);
	return r != 0 || is != wanted;
}

int drift_slice(const char *drop_in, int cgroup_fd, char *ret, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
		char text[64], kernel[256];
		uint64_t wanted;
		int r = limit_differs(&limits[i], drop_in, cgroup_fd, text, &wanted, kernel);

		if (r < 0)
			return r;
		if (r > 0 && used < size)
			used += (size_t)snprintf(ret + used, size - used, "%s%s is %.*s, the policy gives %s",
				used ? "; " : "", limits[i].file, (int)strcspn(kernel, "\n"), kernel,
				*text ? text : "no limit");
	}
	return used ? 1 : 0;
}

int drift_mend(const char *drop_in, int cgroup_fd)
{
	for (size_t i = 0; i < ELEMENTSOF(limits); i++) {
		char text[64], kernel[256], value[48];
		uint64_t wanted;
		int r = limit_differs(&limits[i], drop_in, cgroup_fd, text, &wanted, kernel);

		if (r > 0) {
			limits[i].text(wanted, value, sizeof(value));
			r = file_put_at(cgroup_fd, limits[i].file, value);
		}
		if (r < 0 && r != -ENOENT)
			return r;
	}
	return 0;
}

/* ---- a process' settings ---- */

/* "Max open files            1024                 4096                 files": the soft one. */
static bool find_limit(const char *text, const char *name, char *buffer, size_t size)
{
	const char *line = strstr(text, name);

	if (!line)
		return false;
	line += strlen(name);
	line += strspn(line, " ");
	(void)snprintf(buffer, size, "%.*s", (int)strcspn(line, " \n"), line);
	return true;
}

static bool find_status(const char *text, const char *name, char *buffer, size_t size)
{
	const char *line = strstr(text, name);

	if (!line)
		return false;
	line += strlen(name);
	line += strspn(line, ":\t ");
	(void)snprintf(buffer, size, "%.*s", (int)strcspn(line, "\n"), line);
	return true;
}

/* What may be read as the same: "yes" and 1, "infinity" and "unlimited". */
static bool same_setting(const char *wanted, const char *is)
{
	if (strcmp(wanted, "yes") == 0)
		return strcmp(is, "1") == 0;
	if (strcmp(wanted, "infinity") == 0)
		return strcmp(is, "unlimited") == 0;
	return strcmp(wanted, is) == 0;
}

static const struct {
	const char *key, *file, *name;
	bool (*find)(const char *text, const char *name, char *buffer, size_t size);
} settings[] = {
	{ "NoNewPrivileges", "status", "NoNewPrivs", find_status },
	{ "LimitNOFILE", "limits", "Max open files", find_limit },
	{ "LimitFSIZE", "limits", "Max file size", find_limit },
	{ "LimitCORE", "limits", "Max core file size", find_limit },
};

int drift_manager(const char *drop_in, int proc_fd, char *ret, size_t size)
{
	size_t used = 0;

	for (size_t i = 0; i < ELEMENTSOF(settings) && used < size; i++) {
		char wanted[64], is[64], text[8192];
		int r;

		if (!find_value(drop_in, settings[i].key, wanted, sizeof(wanted)))
			continue;
		r = file_get_at(proc_fd, settings[i].file, text, sizeof(text));
		if (r < 0)
			return r;
		if (!settings[i].find(text, settings[i].name, is, sizeof(is)))
			return -ENODATA;
		if (!same_setting(wanted, is))
			used += (size_t)snprintf(ret + used, size - used, "%s%s is %s, the policy gives %s",
				used ? "; " : "", settings[i].name, is, wanted);
	}
	return used ? 1 : 0;
}

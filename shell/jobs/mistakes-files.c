/* SPDX-License-Identifier: MIT */
/* Of files: logs, secrets, packages, scripts. Searches are bounded, follow no links and read no special files. */
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/mistakes.h"
#include "shell/jobs/script-scan.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_MAX (UINT64_C(50) << 20)
#define LOG_PART 10U /* of the disk's limit */

#define SCRIPT_MAX (256U * 1024) /* bytes that are read of one */
#define SEARCH_MAX 5000U         /* entries of folders */
#define SEARCH_DEPTH 6U

/* Below the home, without following a link at its end. NULL: there is none. */
static DIR *open_below(int dir_fd, const char *path)
{
	int fd = openat(dir_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);

	if (!dir)
		fd_close(fd);
	return dir;
}

static bool has_suffix(const char *name, const char *suffix)
{
	size_t n = strlen(name), m = strlen(suffix);

	return n > m && strcmp(name + n - m, suffix) == 0;
}

/* ---- logs ---- */

static uint64_t disk_limit(const Meters *meters)
{
	for (size_t i = 0; i < meters->n; i++)
		if (strcmp(meters->items[i].name, "disk") == 0)
			return meters->items[i].limit;
	return UINT64_MAX;
}

int mistakes_logs(const Scene *scene, Mistakes *ret)
{
	_cleanup_closedir_ DIR *dir = open_below(scene->home_fd, FOLDER_LOGS);
	uint64_t limit = disk_limit(scene->meters), most = limit / LOG_PART < LOG_MAX ? limit / LOG_PART : LOG_MAX;
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		_cleanup_free_ char *way_out = NULL;
		struct stat st;
		char size[32];

		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISREG(st.st_mode) ||
			(uint64_t)st.st_size <= most)
			continue;
		way_out = str_format("truncate -s 0 ~/logs/%s empties it; logs of creel job keep a bound by themselves",
			entry->d_name);
		if (!way_out || mistakes_add(ret, way_out, "~/logs/%s has %s, and nothing bounds it", entry->d_name,
					str_size((uint64_t)st.st_size, size, sizeof(size))) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* ---- secrets ---- */

int mistakes_secrets(const Scene *scene, Mistakes *ret)
{
	struct stat st;

	if (fstatat(scene->home_fd, ".openclaw/.env", &st, 0) < 0 || !(st.st_mode & 077))
		return 0;
	return mistakes_add(ret, "chmod 600 ~/.openclaw/.env",
		"~/.openclaw/.env has mode %04o: others than you may open it", (unsigned int)st.st_mode & 07777);
}

/* ---- packages ---- */

/* A package's folder or module, not what describes it. */
static bool is_module(const char *name)
{
	return name[0] != '.' && name[0] != '_' && !has_suffix(name, ".dist-info") && !has_suffix(name, ".egg-info") &&
	       !has_suffix(name, ".pth");
}

/* Of one ~/.local/lib/python3.N: those that the system has, too. */
static int look_at_version(int lib_fd, const char *version, Mistakes *ret)
{
	_cleanup_close_ int system_fd = open("/usr/lib/python3/dist-packages", O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = str_format("%s/site-packages", version);
	_cleanup_closedir_ DIR *dir = path ? open_below(lib_fd, path) : NULL;
	struct dirent *entry;

	if (!path)
		return -ENOMEM;
	while (dir && system_fd >= 0 && (entry = readdir(dir))) {
		struct stat st;

		if (!is_module(entry->d_name) || fstatat(system_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (mistakes_add(ret,
			    "pip uninstall it, and install it in the project: python3 -m venv .venv && . "
			    ".venv/bin/activate",
			    "~/.local/lib/%s/site-packages/%s takes the place of the system's package for "
			    "every script",
			    version, entry->d_name) < 0)
			return -ENOMEM;
	}
	return 0;
}

/*
 * pip was told to install past Debian's guard, EXTERNALLY-MANAGED. Not by PIP_BREAK_SYSTEM_PACKAGES: the policy sets that, together with
 * where pip installs to.
 */
static int look_at_guard(const Scene *scene, Mistakes *ret)
{
	static const char *const files[] = { ".config/pip/pip.conf", ".pip/pip.conf" };
	static const char way_out[] = "take that away, and install into a virtual environment: python3 -m venv .venv";
	int r = 0;

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(files); i++) {
		_cleanup_free_ char *text = NULL;

		if (file_read_at(scene->home_fd, files[i], O_NOFOLLOW, 65536, &text, NULL) == 0 &&
			strstr(text, "break-system-packages"))
			r = mistakes_add(ret, way_out, "~/%s: break-system-packages", files[i]);
	}
	return r;
}

/* Projects that say what they need, and have nowhere of their own to put it. */
static int look_at_project(int dir_fd, const char *shown, Mistakes *ret)
{
	static const char *const needs[] = { "requirements.txt" };
	static const char *const own[] = { ".venv", "venv", "env" };
	struct stat st;

	for (size_t i = 0; i < ELEMENTSOF(own); i++)
		if (fstatat(dir_fd, own[i], &st, 0) == 0 && S_ISDIR(st.st_mode))
			return 0;
	for (size_t i = 0; i < ELEMENTSOF(needs); i++)
		if (fstatat(dir_fd, needs[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
			return mistakes_add(ret,
				"there: python3 -m venv .venv && . .venv/bin/activate && pip install -r "
				"requirements.txt",
				"~/%s has a requirements.txt and no virtual environment", shown);
	return 0;
}

static int look_at_projects(const Scene *scene, const char *top, Mistakes *ret)
{
	_cleanup_closedir_ DIR *dir = open_below(scene->home_fd, top);
	unsigned int looked = 0;
	struct dirent *entry;
	int r = dir ? look_at_project(dirfd(dir), top, ret) : 0;

	while (r == 0 && dir && looked++ < SEARCH_MAX && (entry = readdir(dir))) {
		_cleanup_free_ char *shown = NULL;
		_cleanup_close_ int fd = -EBADF;

		if (entry->d_name[0] == '.')
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (fd < 0)
			continue;
		shown = str_format("%s/%s", top, entry->d_name);
		r = shown ? look_at_project(fd, shown, ret) : -ENOMEM;
	}
	return r;
}

int mistakes_pip(const Scene *scene, Mistakes *ret)
{
	static const char *const tops[] = { "project", "workspace" };
	_cleanup_closedir_ DIR *dir = open_below(scene->home_fd, ".local/lib");
	struct dirent *entry;
	int r = look_at_guard(scene, ret);

	while (r == 0 && dir && (entry = readdir(dir)))
		if (strncmp(entry->d_name, "python3", strlen("python3")) == 0)
			r = look_at_version(dirfd(dir), entry->d_name, ret);
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(tops); i++)
		r = look_at_projects(scene, tops[i], ret);
	return r;
}

/* ---- scripts ---- */

typedef struct Search {
	Mistakes *found;
	unsigned int left; /* entries that may be looked at */
} Search;

static int look_at_script(Search *search, int dir_fd, const char *name, const char *shown)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	_cleanup_free_ char *text = malloc(SCRIPT_MAX);
	struct stat st;
	ssize_t n;

	if (!text)
		return -ENOMEM;
	if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return 0;
	n = read(fd, text, SCRIPT_MAX);
	if (n <= 0 || !script_lacks_backend(text, (size_t)n))
		return 0;
	return mistakes_add(search->found,
		"before that: import matplotlib; matplotlib.use('Agg'); or MPLBACKEND=Agg in the environment",
		"~/%s imports matplotlib.pyplot and names no backend: there is no display here", shown);
}

/* Others' code, and what is made. */
static bool is_left_out(const char *name)
{
	static const char *const names[] = { "node_modules", "venv", "env", "site-packages", "__pycache__" };

	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return name[0] == '.';
}

static int search_folder(Search *search, int parent_fd, const char *name, const char *shown, unsigned int depth)
{
	_cleanup_closedir_ DIR *dir = open_below(parent_fd, name);
	struct dirent *entry;
	int r = 0;

	while (r == 0 && dir && search->left && (entry = readdir(dir))) {
		_cleanup_free_ char *path = NULL;

		search->left--;
		if (is_left_out(entry->d_name))
			continue;
		path = str_format("%s/%s", shown, entry->d_name);
		if (!path)
			return -ENOMEM;
		if (has_suffix(entry->d_name, ".py"))
			r = look_at_script(search, dirfd(dir), entry->d_name, path);
		else if ((entry->d_type == DT_DIR || entry->d_type == DT_UNKNOWN) && depth < SEARCH_DEPTH)
			r = search_folder(search, dirfd(dir), entry->d_name, path, depth + 1);
	}
	return r;
}

int mistakes_backend(const Scene *scene, Mistakes *ret)
{
	static const char *const tops[] = { "scripts", "project", "workspace" };
	Search search = { ret, SEARCH_MAX };
	const char *backend = getenv("MPLBACKEND");
	_cleanup_free_ char *text = NULL;
	int r = 0;

	if (backend && *backend)
		return 0;
	if (file_read_at(scene->home_fd, ".config/matplotlib/matplotlibrc", O_NOFOLLOW, 65536, &text, NULL) == 0 &&
		(strncmp(text, "backend", 7) == 0 || strstr(text, "\nbackend")))
		return 0;
	for (size_t i = 0; r == 0 && i < ELEMENTSOF(tops); i++)
		r = search_folder(&search, scene->home_fd, tops[i], tops[i], 0);
	return r;
}

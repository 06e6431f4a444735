/* SPDX-License-Identifier: MIT */
#include "shell/tools/mcp-files.h"
#include "shell/base/str.h"
#include "shell/base/utf8.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define DEPTH_MAX 8U     /* folders within one another */
#define SEEN_MAX 100000U /* entries that one answer looks at */

static const char *const names[FOLDERS_N] = {
	[FOLDER_WORKSPACE] = "workspace",
	[FOLDER_OUTPUT] = "output",
	[FOLDER_RUNS] = "runs",
};

const char *folder_name(FileFolder folder)
{
	return names[folder];
}

FileFolder folder_of_name(const char *name, size_t n)
{
	FileFolder folder = 0;

	while (folder < FOLDERS_N && (strlen(names[folder]) != n || memcmp(names[folder], name, n) != 0))
		folder++;
	return folder;
}

const char *folder_path(const McpFolders *folders, FileFolder folder)
{
	return folder == FOLDER_WORKSPACE ? folders->workspace
	       : folder == FOLDER_OUTPUT  ? folders->output
					  : folders->runs;
}

/* The innermost one: the output folder may lie in the workspace. */
int folder_find(
	const McpFolders *folders, const char *path, FileFolder fallback, FileFolder *ret, const char **ret_below)
{
	size_t longest = 0;

	if (*path != '/') {
		*ret = fallback;
		*ret_below = path;
		return 0;
	}
	for (FileFolder folder = 0; folder < FOLDERS_N; folder++) {
		const char *top = folder_path(folders, folder);
		size_t n = strlen(top);

		if (n > longest && strncmp(path, top, n) == 0 && (path[n] == '/' || path[n] == '\0')) {
			longest = n;
			*ret = folder;
			*ret_below = path + n + strspn(path + n, "/");
		}
	}
	return longest ? 0 : -EXDEV;
}

/*
 * Component by component, no link followed: openat2(2), which could say so at once, is none of the calls that an agent may make
 * (shell/confine/calls.c).
 */
static int open_below(const char *folder, const char *below, int flags)
{
	_cleanup_close_ int fd = open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = strdup(*below ? below : ".");
	char *rest = NULL;

	if (!path)
		return -ENOMEM;
	if (fd < 0)
		return -errno;
	for (char *name = strtok_r(path, "/", &rest), *next; name; name = next) {
		int inner_fd;

		next = strtok_r(NULL, "/", &rest);
		if (strcmp(name, "..") == 0)
			return -EXDEV;
		inner_fd = openat(fd, name, (next ? O_PATH | O_DIRECTORY : flags | O_NOCTTY) | O_NOFOLLOW | O_CLOEXEC);
		if (inner_fd < 0)
			return -errno;
		(void)fd_close(fd);
		fd = inner_fd;
	}
	return TAKE_FD(fd);
}

int folder_open_file(const char *folder, const char *below, int *ret_fd, struct stat *ret_status)
{
	_cleanup_close_ int fd = open_below(folder, below, O_RDONLY | O_NONBLOCK);

	if (fd < 0)
		return fd == -ENXIO ? -ENOTSUP : fd;
	if (fstat(fd, ret_status) < 0)
		return -errno;
	if (!S_ISREG(ret_status->st_mode))
		return -ENOTSUP;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

const char *folder_failure(int r, const char *path, char *buffer, size_t size)
{
	char quoted[256];

	(void)str_quote(path, strlen(path), quoted, sizeof(quoted));
	(void)snprintf(buffer, size, "`%s`: %s", quoted,
		r == -EXDEV     ? "is not below the workspace, the output folder or the kept outputs"
		: r == -ELOOP   ? "is a symbolic link"
		: r == -ENOTSUP ? "is no regular file"
		: r == -E2BIG   ? "is too large"
				: strerror(-r));
	return buffer;
}

int folder_read(int fd, uint64_t offset, size_t n, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *bytes = malloc(n + 1);
	size_t got = 0;

	if (!bytes)
		return -ENOMEM;
	while (got < n) {
		ssize_t r = pread(fd, bytes + got, n - got, (off_t)(offset + got));

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	*ret = TAKE_PTR(bytes);
	*ret_n = got;
	return 0;
}

bool bytes_are_text(const char *bytes, size_t n)
{
	while (n) {
		size_t length = *bytes ? utf8_length(bytes, n) : 0;

		if (!length)
			return false;
		bytes += length;
		n -= length;
	}
	return true;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const FileEntry *)a)->name, ((const FileEntry *)b)->name);
}

/* In order, the first FILES_MAX stay. */
static void list_settle(FileList *list)
{
	if (list->n)
		qsort(list->entries, list->n, sizeof(*list->entries), by_name);
	while (list->n > FILES_MAX) {
		free(list->entries[--list->n].name);
		list->left_out++;
	}
}

static int list_add(FileList *list, const char *prefix, const char *name, const struct stat *status)
{
	_cleanup_free_ char *whole = str_format("%s%s", prefix, name);
	FileEntry *entry;

	if (!whole)
		return -ENOMEM;
	if (list->after && strcmp(whole, list->after) <= 0)
		return 0;
	if (list->n >= 2 * FILES_MAX)
		list_settle(list);
	if (list->n >= list->room) {
		size_t room = list->room * 2 + 16;
		FileEntry *entries = realloc(list->entries, room * sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		list->entries = entries;
		list->room = room;
	}
	entry = &list->entries[list->n];
	*entry = (FileEntry){ .name = TAKE_PTR(whole),
		.type = S_ISREG(status->st_mode)   ? "file"
			: S_ISDIR(status->st_mode) ? "folder"
			: S_ISLNK(status->st_mode) ? "link"
						   : "special",
		.bytes = S_ISREG(status->st_mode) ? (uint64_t)status->st_size : 0,
		.modified = status->st_mtim.tv_sec };
	list->n++;
	return 0;
}

/* Consumes `fd`. What vanishes meanwhile, or may not be looked into, is no error. */
static int list_folder(FileList *list, int fd, const char *prefix, unsigned int depth)
{
	_cleanup_closedir_ DIR *folder = fdopendir(fd);
	const struct dirent *entry;

	if (!folder) {
		fd_close(fd);
		return -errno;
	}
	while (list->seen < SEEN_MAX && (entry = readdir(folder))) {
		struct stat status;
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
			fstatat(dirfd(folder), entry->d_name, &status, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		list->seen++;
		if (!list->files_only || S_ISREG(status.st_mode)) {
			r = list_add(list, prefix, entry->d_name, &status);
			if (r < 0)
				return r;
		}
		if (list->recursive && S_ISDIR(status.st_mode) && depth < DEPTH_MAX) {
			_cleanup_free_ char *below = str_format("%s%s/", prefix, entry->d_name);
			int inner_fd =
				openat(dirfd(folder), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

			if (!below) {
				fd_close(inner_fd);
				return -ENOMEM;
			}
			r = inner_fd < 0 ? 0 : list_folder(list, inner_fd, below, depth + 1);
			if (r < 0)
				return r;
		}
	}
	return 0;
}

int folder_list(const char *folder, const char *below, FileList *list)
{
	int fd = open_below(folder, below, O_RDONLY | O_DIRECTORY), r;

	if (fd < 0)
		return fd;
	r = list_folder(list, fd, "", 0);
	list_settle(list);
	return r;
}

void file_list_done(FileList *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->entries[i].name);
	free(list->entries);
	*list = (FileList){ 0 };
}

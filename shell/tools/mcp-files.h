/* SPDX-License-Identifier: MIT */
/*
 * Files that the server shows: those of the workspace, of the output folder and of kept outputs. A path never leaves its folder:
 * no link on it is followed, and only regular files are read, never waiting for one.
 * This is order and not protection: who may call a tool may run code as well.
 */
#pragma once

#include "shell/tools/mcp.h"

#include <stdbool.h>
#include <sys/stat.h>

#define FILES_MAX 1000U /* that one answer lists */

typedef enum FileFolder { FOLDER_WORKSPACE, FOLDER_OUTPUT, FOLDER_RUNS, FOLDERS_N } FileFolder;

const char *folder_name(FileFolder folder);            /* "workspace", "output", "runs" */
FileFolder folder_of_name(const char *name, size_t n); /* FOLDERS_N: none */
const char *folder_path(const McpFolders *folders, FileFolder folder);

/*
 * Which folder `path` is in, and where below it. Relative: in `fallback`. Returns 0, or -EXDEV: in none of them. `ret_below`
 * points into `path`.
 */
_must_check_ int folder_find(
	const McpFolders *folders, const char *path, FileFolder fallback, FileFolder *ret, const char **ret_below);

/*
 * Opens a regular file below `folder` (an absolute path) for reading. Returns 0; -EXDEV: it leads out of the folder;
 * -ELOOP: it is a link; -ENOTSUP: it is no regular file; open(2)'s errors.
 */
_must_check_ int folder_open_file(const char *folder, const char *below, int *ret_fd, struct stat *ret_status);

/* A sentence about such an error. Returns `buffer`. */
const char *folder_failure(int r, const char *path, char *buffer, size_t size);

/* `n` bytes at most, from `offset`, in new memory. */
_must_check_ int folder_read(int fd, uint64_t offset, size_t n, char **ret, size_t *ret_n);

/* All bytes are characters of UTF-8, and none is NUL. */
bool bytes_are_text(const char *bytes, size_t n);

typedef struct FileEntry {
	char *name;       /* relative to the folder that was listed */
	const char *type; /* file, folder, link, special */
	uint64_t bytes;
	time_t modified;
} FileEntry;

typedef struct FileList {
	FileEntry *entries;
	size_t n, room;
	uint64_t left_out, seen; /* more than FILES_MAX; looked at */
	bool recursive, files_only;
	const char *after; /* only names behind it; NULL: all */
} FileList;

/* What is in `below` of `folder`, the first FILES_MAX by name; links are listed, not followed. Returns 0 or a negative errno. */
_must_check_ int folder_list(const char *folder, const char *below, FileList *list);
void file_list_done(FileList *list);

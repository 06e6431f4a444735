/* SPDX-License-Identifier: MIT */
/* Absolute paths without `.`, `..` and doubled slashes, and lists of them. */
#pragma once

#include "shell/base/str.h"

/* `path` is `tree` or beneath it. */
bool path_within(const char *path, const char *tree);

/* "/a/b" and "c" -> "/a/b/c"; new memory, NULL when it is out. */
_must_check_ char *path_join(const char *folder, const char *name);

/*
 * Symbolic links resolved as far as the path exists and can be seen; the rest is kept as it is written. Returns 0, -ENOMEM
 * or -ELOOP. For comparing: what is opened later is opened without following links.
 */
_must_check_ int path_resolve(const char *path, char **ret);

/*
 * The same, but a link counts only where it lies in a folder of root's that nobody else may write to; another is kept as it is
 * written, so that opening it without following links fails. `..` takes the last name away. Returns as path_resolve() does.
 */
_must_check_ int path_resolve_trusted(const char *path, char **ret);

/* Adds a copy unless it is there. Returns 0 or -ENOMEM. */
_must_check_ int paths_add(StrList *paths, const char *path);

/* For the two below, which search by halves. */
void paths_sort(StrList *paths);
bool paths_has(const StrList *paths, const char *path);
/* One of them is beneath `folder`, and not that itself. */
bool paths_has_beneath(const StrList *paths, const char *folder);

/* SPDX-License-Identifier: MIT */
#include "shell/confine/paths.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* as the kernel's MAXSYMLINKS */

bool path_within(const char *path, const char *tree)
{
	size_t n = strlen(tree);

	if (n == 1) /* "/" */
		return true;
	return strncmp(path, tree, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

char *path_join(const char *folder, const char *name)
{
	return str_format("%s/%s", strcmp(folder, "/") == 0 ? "" : folder, name);
}

int path_resolve(const char *path, char **ret)
{
	_cleanup_free_ char *head = NULL, *resolved = NULL;
	char *whole, *slash;
	int r;

	whole = realpath(path, NULL);
	if (whole) {
		*ret = whole;
		return 0;
	}
	if (errno == ENOMEM || errno == ELOOP)
		return -errno;
	slash = strrchr(path, '/');
	if (!slash || slash == path) {
		whole = strdup(path);
		if (!whole)
			return -ENOMEM;
		*ret = whole;
		return 0;
	}
	head = strndup(path, (size_t)(slash - path));
	if (!head)
		return -ENOMEM;
	r = path_resolve(head, &resolved);
	if (r < 0)
		return r;
	whole = path_join(resolved, slash + 1);
	if (!whole)
		return -ENOMEM;
	*ret = whole;
	return 0;
}

static bool is_roots_alone(const char *folder)
{
	struct stat st;

	return stat(folder, &st) == 0 && st.st_uid == 0 && !(st.st_mode & (S_IWGRP | S_IWOTH));
}

/* What a link of root's says; NULL where there is none, or it is another's. */
static char *trusted_link(const char *folder, const char *path)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);

	if (n <= 0 || !is_roots_alone(folder))
		return NULL;
	target[n] = '\0';
	return strdup(target);
}

int path_resolve_trusted(const char *path, char **ret)
{
	_cleanup_free_ char *done = strdup("/"), *rest = strdup(path);
	int links = 0;

	if (!done || !rest)
		return -ENOMEM;
	for (;;) {
		size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/");
		_cleanup_free_ char *name = strndup(rest + skip, n), *next = NULL, *target = NULL, *more = NULL;

		if (!name)
			return -ENOMEM;
		if (!n)
			break;
		memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
		if (strcmp(name, ".") == 0)
			continue;
		if (strcmp(name, "..") == 0) {
			char *last = strrchr(done, '/');

			last[last == done] = '\0';
			continue;
		}
		next = path_join(done, name);
		if (!next)
			return -ENOMEM;
		target = trusted_link(done, next);
		if (!target) {
			free(done);
			done = TAKE_PTR(next);
			continue;
		}
		if (++links > LINKS_MAX)
			return -ELOOP;
		more = str_format("%s/%s", target, rest);
		if (!more)
			return -ENOMEM;
		if (*target == '/')
			done[1] = '\0';
		free(rest);
		rest = TAKE_PTR(more);
	}
	*ret = TAKE_PTR(done);
	return 0;
}

int paths_add(StrList *paths, const char *path)
{
	return strlist_contains(paths, path) ? 0 : strlist_add(paths, path);
}

static int compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

void paths_sort(StrList *paths)
{
	if (paths->n)
		qsort(paths->items, paths->n, sizeof(char *), compare);
}

/* The first that is not before `text`. */
static size_t lower_bound(const StrList *paths, const char *text)
{
	size_t low = 0, high = paths->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(paths->items[middle], text) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool paths_has(const StrList *paths, const char *path)
{
	size_t at = lower_bound(paths, path);

	return at < paths->n && strcmp(paths->items[at], path) == 0;
}

bool paths_has_beneath(const StrList *paths, const char *folder)
{
	char start[PATH_MAX];
	int n = snprintf(start, sizeof(start), "%s/", strcmp(folder, "/") == 0 ? "" : folder);
	size_t at;

	if (n < 0 || (size_t)n >= sizeof(start))
		return true; /* nothing that long can be opened: looking into it grants nothing */
	at = lower_bound(paths, start);
	/* the folder itself sorts before START, and "/" is START: not beneath */
	if (at < paths->n && strcmp(paths->items[at], start) == 0)
		at++;
	return at < paths->n && strncmp(paths->items[at], start, (size_t)n) == 0;
}

/* SPDX-License-Identifier: MIT */
#include "shell/jobs/pids-folder.h"
#include "shell/jobs/folders.h"

#include <string.h>

#define SUFFIX ".pid"

static int add(int dir_fd, const char *entry, NamedPids *pids)
{
	NamedPid *grown = reallocarray(pids->items, pids->n + 1, sizeof(*grown)), one = { 0 };

	if (!grown)
		return -ENOMEM;
	pids->items = grown;
	one.is = pidfile_look(dir_fd, entry, &one.pid);
	if (one.is == PIDFILE_NONE)
		return 0;
	one.name = strndup(entry, strlen(entry) - strlen(SUFFIX));
	if (!one.name)
		return -ENOMEM;
	grown[pids->n++] = one;
	return 0;
}

int named_pids_read(NamedPids *ret)
{
	_cleanup_free_ char *path = home_path(FOLDER_PIDS, NULL);
	_cleanup_named_pids_ NamedPids pids = { 0 };
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;

	if (!path)
		return -ENOMEM;
	dir = opendir(path);
	while (dir && pids.n < PIDS_MAX && (entry = readdir(dir))) {
		size_t n = strlen(entry->d_name), m = strlen(SUFFIX);

		if (entry->d_name[0] == '.' || n <= m || strcmp(entry->d_name + n - m, SUFFIX) != 0)
			continue;
		if (add(dirfd(dir), entry->d_name, &pids) < 0)
			return -ENOMEM;
	}
	*ret = pids;
	pids = (NamedPids){ 0 };
	return 0;
}

void named_pids_done(NamedPids *pids)
{
	for (size_t i = 0; i < pids->n; i++)
		free(pids->items[i].name);
	free(pids->items);
	*pids = (NamedPids){ 0 };
}

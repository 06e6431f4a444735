/* SPDX-License-Identifier: MIT */
/* Names that files give to processes: screen's sockets, and ~/pids. */
#include "shell/jobs/gather.h"
#include "shell/base/str.h"
#include "shell/jobs/pids-folder.h"
#include "shell/jobs/screens.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

int gather_screens(Gathered *gathered)
{
	_cleanup_closedir_ DIR *dir = screens_folder();
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const Process *process;
		struct stat st;
		const char *name;
		pid_t pid;
		Row *row;
		int r;

		if (screen_socket_parse(entry->d_name, &pid, &name) < 0 ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		process = processes_find(&gathered->processes, pid);
		/* a socket that a dead screen left, or whose number is another program's by now */
		if (!process || strncasecmp(process->command, "screen", strlen("screen")) != 0)
			continue;
		row = rows_add(&gathered->rows, ROW_SCREEN, name);
		if (!row)
			return -ENOMEM;
		row->pid = pid;
		(void)snprintf(row->state, sizeof(row->state), "%s", st.st_mode & 0100 ? "attached" : "detached");
		r = gather_take(gathered, gathered->rows.n - 1, pid);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Of what a unit or the keeper has, those say more. */
static bool says_enough(const Process *process)
{
	return process->where.kind != WHERE_SESSION && process->where.kind != WHERE_KEPT &&
	       process->where.kind != WHERE_ELSEWHERE;
}

int gather_pid_files(Gathered *gathered)
{
	_cleanup_named_pids_ NamedPids pids = { 0 };
	int r = named_pids_read(&pids);

	for (size_t i = 0; r == 0 && i < pids.n; i++) {
		const NamedPid *one = &pids.items[i];
		const Process *process = processes_find(&gathered->processes, one->pid);

		if (one->is != PIDFILE_ALIVE || !process || says_enough(process) ||
			gathered->owner[process - gathered->processes.items] != SIZE_MAX)
			continue;
		if (!rows_add(&gathered->rows, ROW_PROCESS, one->name))
			return -ENOMEM;
		gathered->rows.items[gathered->rows.n - 1].pid = one->pid;
		r = gather_take(gathered, gathered->rows.n - 1, one->pid);
	}
	return r;
}

/* SPDX-License-Identifier: MIT */
/* Names that files give to processes: screen's sockets, and ~/pids. */
#include "shell/jobs/gather.h"
#include "shell/base/str.h"
#include "shell/jobs/pids-folder.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define SCREENS "/run/screen"

/* Where screen(1) has its sockets: PID.NAME, mode 0700 when somebody is attached, 0600 when nobody is. */
static DIR *screens_open(void)
{
	const char *folder = getenv("SCREENDIR");
	const struct passwd *user = getpwuid(getuid());
	char path[512];

	if (!folder || folder[0] != '/') {
		(void)snprintf(path, sizeof(path), SCREENS "/S-%s", user ? user->pw_name : "");
		folder = path;
	}
	return opendir(folder);
}

int gather_screens(Gathered *gathered)
{
	_cleanup_closedir_ DIR *dir = screens_open();
	struct dirent *entry;

	while (dir && (entry = readdir(dir))) {
		const Process *process;
		struct stat st;
		uint64_t pid;
		char *dot, digits[16];
		Row *row;
		int r;

		dot = strchr(entry->d_name, '.');
		if (!dot || dot == entry->d_name || (size_t)(dot - entry->d_name) >= sizeof(digits))
			continue;
		(void)snprintf(digits, sizeof(digits), "%.*s", (int)(dot - entry->d_name), entry->d_name);
		if (str_to_u64(digits, INT32_MAX, &pid) < 0 ||
			fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISSOCK(st.st_mode))
			continue;
		process = processes_find(&gathered->processes, (pid_t)pid);
		/* a socket that a dead screen left, or whose number is another program's by now */
		if (!process || strncasecmp(process->command, "screen", strlen("screen")) != 0)
			continue;
		row = rows_add(&gathered->rows, ROW_SCREEN, dot + 1);
		if (!row)
			return -ENOMEM;
		row->pid = (pid_t)pid;
		(void)snprintf(row->state, sizeof(row->state), "%s", st.st_mode & 0100 ? "attached" : "detached");
		r = gather_take(gathered, gathered->rows.n - 1, (pid_t)pid);
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

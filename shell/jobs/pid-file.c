/* SPDX-License-Identifier: MIT */
#include "shell/jobs/pid-file.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/jobs/folders.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define SUFFIX ".pid"
/* A file is written after its process began; clocks of both are not read at the same time. */
#define SLACK_USEC 2000000U

int pid_parse(const char *text, pid_t *ret)
{
	char digits[16];
	size_t n;
	uint64_t pid;

	text += strspn(text, " \t\r\n");
	n = strspn(text, "0123456789");
	if (n == 0 || n >= sizeof(digits) || text[n + strspn(text + n, " \t\r\n")])
		return -EINVAL;
	(void)snprintf(digits, sizeof(digits), "%.*s", (int)n, text);
	if (str_to_u64(digits, INT32_MAX, &pid) < 0 || pid == 0)
		return -EINVAL;
	*ret = (pid_t)pid;
	return 0;
}

static PidFate fate_of(const Processes *processes, pid_t pid, const struct stat *st)
{
	uint64_t written = (uint64_t)st->st_mtim.tv_sec * 1000000 + (uint64_t)st->st_mtim.tv_nsec / 1000;
	const Process *process = processes_find(processes, pid);
	uid_t uid;

	if (!process)
		return process_owner(pid, &uid) == 0 && uid != getuid() ? PID_REUSED : PID_GONE;
	return process->started_usec > written + SLACK_USEC ? PID_REUSED : PID_RUNS;
}

static int file_take(int dir_fd, const char *entry, const Processes *processes, PidFiles *files)
{
	_cleanup_free_ char *text = NULL, *name = NULL;
	PidFile file = { .fate = PID_BROKEN };
	PidFile *grown;
	struct stat st;

	if (fstatat(dir_fd, entry, &st, 0) < 0 || !S_ISREG(st.st_mode) ||
		file_read_at(dir_fd, entry, 0, 256, &text, NULL) < 0)
		return 0;
	if (pid_parse(text, &file.pid) == 0)
		file.fate = fate_of(processes, file.pid, &st);
	name = strndup(entry, strlen(entry) - strlen(SUFFIX));
	grown = reallocarray(files->items, files->n + 1, sizeof(*grown));
	if (grown)
		files->items = grown;
	if (!name || !grown)
		return -ENOMEM;
	file.name = TAKE_PTR(name);
	grown[files->n++] = file;
	return 0;
}

int pid_files_read(const Processes *processes, PidFiles *ret)
{
	_cleanup_free_ char *path = home_path(FOLDER_PIDS, NULL);
	_cleanup_pid_files_ PidFiles files = { 0 };
	_cleanup_closedir_ DIR *dir = NULL;
	struct dirent *entry;

	if (!path)
		return -ENOMEM;
	dir = opendir(path);
	while (dir && files.n < PID_FILES_MAX && (entry = readdir(dir))) {
		size_t n = strlen(entry->d_name), m = strlen(SUFFIX);

		if (n <= m || strcmp(entry->d_name + n - m, SUFFIX) != 0 || entry->d_name[0] == '.')
			continue;
		if (file_take(dirfd(dir), entry->d_name, processes, &files) < 0)
			return -ENOMEM;
	}
	*ret = files;
	files = (PidFiles){ 0 };
	return 0;
}

void pid_files_done(PidFiles *files)
{
	for (size_t i = 0; i < files->n; i++)
		free(files->items[i].name);
	free(files->items);
	*files = (PidFiles){ 0 };
}

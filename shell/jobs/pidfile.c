/* SPDX-License-Identifier: MIT */
#include "shell/jobs/pidfile.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/process.h"
#include "shell/jobs/span.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define TEXT_MAX 64U

/* When a process began, realtime; 0: it is not there. */
static uint64_t process_started(int process_fd)
{
	struct timespec boot, now;
	ProcessStat stat;
	char text[1024];

	if (file_get_at(process_fd, "stat", text, sizeof(text)) < 0 || process_stat_parse(text, &stat) < 0 ||
		stat.state == 'Z' || stat.state == 'X')
		return 0;
	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	(void)clock_gettime(CLOCK_REALTIME, &now);
	return ((uint64_t)now.tv_sec - (uint64_t)boot.tv_sec + stat.started_ticks / (uint64_t)sysconf(_SC_CLK_TCK)) *
	       USEC_PER_SEC;
}

static PidFile judge(pid_t pid, const struct stat *file)
{
	_cleanup_close_ int process_fd = -EBADF;
	uint64_t started;
	struct stat st;
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	process_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (process_fd < 0 || fstat(process_fd, &st) < 0)
		return PIDFILE_DEAD;
	started = process_started(process_fd);
	if (!started)
		return PIDFILE_DEAD;
	/* a process is older than the file that names it; seconds are rounded twice */
	if (st.st_uid != file->st_uid || started > ((uint64_t)file->st_mtime + 2) * USEC_PER_SEC)
		return PIDFILE_REUSED;
	return PIDFILE_ALIVE;
}

PidFile pidfile_look(int folder_fd, const char *file, pid_t *ret_pid)
{
	_cleanup_free_ char *text = NULL;
	struct stat st;
	uint64_t pid;
	size_t n;

	*ret_pid = 0;
	if (fstatat(folder_fd, file, &st, 0) < 0)
		return PIDFILE_NONE;
	if (file_read_at(folder_fd, file, 0, TEXT_MAX, &text, &n) < 0)
		return PIDFILE_BROKEN;
	text[strcspn(text, " \t\r\n")] = '\0';
	if (str_to_u64(text, INT32_MAX, &pid) < 0 || pid == 0)
		return PIDFILE_BROKEN;
	*ret_pid = (pid_t)pid;
	return judge((pid_t)pid, &st);
}

void pidfile_remove(const char *name)
{
	Reason reason;
	_cleanup_close_ int fd = folder_open(FOLDER_PIDS, false, &reason);
	char file[NAME_MAX + 1];
	pid_t pid;

	(void)snprintf(file, sizeof(file), "%.200s.pid", name);
	if (fd >= 0 && pidfile_look(fd, file, &pid) != PIDFILE_ALIVE)
		(void)unlinkat(fd, file, 0);
}

/* SPDX-License-Identifier: MIT */
#include "shell/jobs/process.h"
#include "shell/base/file.h"
#include "shell/base/rate.h"
#include "shell/base/str.h"

#include <fcntl.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/stat.h>
#include <time.h>

/* The name lies between the first bracket and the last one, and may hold anything (proc(5)). */
int process_stat_parse(const char *text, ProcessStat *ret)
{
	const char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned long long utime, stime, cutime, cstime, started, pages;
	ProcessStat stat = { 0 };
	size_t n;
	int pid, parent;

	if (!open || !close || close < open || sscanf(text, "%d ", &pid) != 1 || pid <= 0)
		return -EINVAL;
	if (sscanf(close + 1,
		    " %c %d %*d %*d %d %*d %*u %*u %*u %*u %*u %llu %llu %llu %llu %*d %*d %*d %*d %llu %*u %llu",
		    &stat.state, &parent, &stat.terminal, &utime, &stime, &cutime, &cstime, &started, &pages) != 9)
		return -EINVAL;
	n = (size_t)(close - open - 1);
	n = n < sizeof(stat.name) ? n : sizeof(stat.name) - 1;
	memcpy(stat.name, open + 1, n);
	stat.pid = pid;
	stat.parent = parent;
	stat.cpu_ticks = utime + stime + cutime + cstime;
	stat.started_ticks = started;
	stat.pages = pages;
	*ret = stat;
	return 0;
}

static uint64_t boot_realtime_usec(void)
{
	struct timespec boot = { 0 };

	(void)clock_gettime(CLOCK_BOOTTIME, &boot);
	return clock_realtime_usec() - ((uint64_t)boot.tv_sec * 1000000 + (uint64_t)boot.tv_nsec / 1000);
}

static int read_command(int dir_fd, const char *name, char **ret)
{
	_cleanup_close_ int fd = openat(dir_fd, "cmdline", O_RDONLY | O_CLOEXEC);
	char text[PROCESS_COMMAND_MAX];
	ssize_t n;

	n = fd < 0 ? 0 : read(fd, text, sizeof(text) - 1);
	while (n > 0 && text[n - 1] == '\0')
		n--;
	for (ssize_t i = 0; i < n; i++)
		if (!text[i])
			text[i] = ' ';
	if (n > 0)
		*ret = strndup(text, (size_t)n);
	else
		*ret = str_format("[%s]", name);
	return *ret ? 0 : -ENOMEM;
}

static int process_read(int proc_fd, const char *name, uid_t uid, uint64_t boot_usec, Process *ret)
{
	_cleanup_free_ char *path = NULL, *command = NULL;
	_cleanup_close_ int dir_fd = -EBADF;
	uint64_t tick_usec = 1000000 / (uint64_t)sysconf(_SC_CLK_TCK);
	char text[4096], *colon;
	ProcessStat stat;
	struct stat st;
	int r;

	dir_fd = openat(proc_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0 || fstat(dir_fd, &st) < 0)
		return -errno;
	if (st.st_uid != uid)
		return -EPERM;
	r = file_get_at(dir_fd, "stat", text, sizeof(text));
	if (r < 0)
		return r;
	r = process_stat_parse(text, &stat);
	if (r < 0)
		return r;
	r = file_get_at(dir_fd, "cgroup", text, sizeof(text));
	if (r < 0)
		return r;
	colon = strstr(text, "::");
	path = strdup(colon ? colon + 2 : "");
	if (!path)
		return -ENOMEM;
	r = read_command(dir_fd, stat.name, &command);
	if (r < 0)
		return r;
	*ret = (Process){
		.pid = stat.pid,
		.parent = stat.parent,
		.state = stat.state,
		.terminal = stat.terminal != 0,
		.cpu_usec = stat.cpu_ticks * tick_usec,
		.memory = stat.pages * (uint64_t)sysconf(_SC_PAGESIZE),
		.started_ticks = stat.started_ticks,
		.started_usec = boot_usec + stat.started_ticks * tick_usec,
	};
	where_parse(path, uid, &ret->where);
	ret->cgroup = TAKE_PTR(path);
	ret->command = TAKE_PTR(command);
	return 0;
}

static int compare(const void *a, const void *b)
{
	const Process *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

int processes_read(uid_t uid, Processes *ret)
{
	_cleanup_processes_ Processes all = { 0 };
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	uint64_t boot_usec = boot_realtime_usec();
	struct dirent *entry;
	size_t room = 0;

	if (!dir)
		return -errno;
	while ((entry = readdir(dir))) {
		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		if (all.n == room) {
			Process *grown = reallocarray(all.items, room ? 2 * room : 64, sizeof(*grown));

			if (!grown)
				return -ENOMEM;
			all.items = grown;
			room = room ? 2 * room : 64;
		}
		if (process_read(dirfd(dir), entry->d_name, uid, boot_usec, &all.items[all.n]) == 0)
			all.n++;
	}
	if (all.n)
		qsort(all.items, all.n, sizeof(*all.items), compare);
	*ret = all;
	all = (Processes){ 0 };
	return 0;
}

void processes_done(Processes *processes)
{
	for (size_t i = 0; i < processes->n; i++) {
		free(processes->items[i].cgroup);
		free(processes->items[i].command);
	}
	free(processes->items);
	*processes = (Processes){ 0 };
}

const Process *processes_find(const Processes *processes, pid_t pid)
{
	const Process wanted = { .pid = pid };

	return processes->n ? bsearch(&wanted, processes->items, processes->n, sizeof(wanted), compare) : NULL;
}

int process_owner(pid_t pid, uid_t *ret)
{
	char path[32];
	struct stat st;

	(void)snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	if (stat(path, &st) < 0)
		return -errno;
	*ret = st.st_uid;
	return 0;
}

int process_open(const Process *process)
{
	_cleanup_close_ int fd = pidfd_open(process->pid, 0);
	char path[32], text[4096];
	ProcessStat stat = { 0 };
	int r;

	if (fd < 0)
		return -errno;
	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)process->pid);
	r = file_get_at(AT_FDCWD, path, text, sizeof(text));
	if (r == 0)
		r = process_stat_parse(text, &stat);
	if (r < 0)
		return r == -ENOENT ? -ESRCH : r;
	return stat.started_ticks == process->started_ticks ? TAKE_FD(fd) : -ESRCH;
}

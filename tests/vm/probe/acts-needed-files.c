/* SPDX-License-Identifier: MIT */
/* Files and folders that an agent works with. */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

/* From the user table, as HOME may say anything. */
static const char *home(void)
{
	static char path[128];
	FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	(void)snprintf(path, sizeof(path), "/nonexistent");
	while (file && (entry = fgetpwent(file)))
		if (entry->pw_uid == getuid())
			(void)snprintf(path, sizeof(path), "%s", entry->pw_dir);
	if (file)
		(void)fclose(file);
	return path;
}

/* Makes, writes, reads back and removes a file. */
static int work_in(const char *folder)
{
	char path[256], back[5] = { 0 };
	int fd, r = 0;

	(void)snprintf(path, sizeof(path), "%s/probe-XXXXXX", folder);
	fd = mkstemp(path);
	if (fd < 0)
		return -errno;
	if (write(fd, "word", 4) != 4 || pread(fd, back, 4, 0) != 4 || strcmp(back, "word") != 0)
		r = errno ? -errno : ODD;
	if (unlink(path) < 0 && !r)
		r = -errno;
	(void)close(fd);
	return r;
}

static int run_folder(const Targets *targets)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/run/user/%u", (unsigned int)getuid());
	return work_in(path);
}

#define ON(NAME, CALL)                          \
	static int NAME(const Targets *targets) \
	{                                       \
		return CALL;                    \
	}

ON(work_home, work_in(home()))
ON(work_tmp, work_in("/tmp"))
ON(work_var_tmp, work_in("/var/tmp"))
ON(work_shm, work_in("/dev/shm"))
ON(read_null, try_open("/dev/null", O_RDWR))
ON(read_random, try_open("/dev/urandom", O_RDONLY))
ON(read_libraries, try_open("/usr/lib", O_RDONLY | O_DIRECTORY))
ON(read_names, try_open("/etc/resolv.conf", O_RDONLY))
ON(read_processors, try_open("/proc/cpuinfo", O_RDONLY))
ON(read_memory_size, try_open("/proc/meminfo", O_RDONLY))
ON(read_system, try_open("/sys/devices/system/cpu/online", O_RDONLY))
ON(list_processes, try_open("/proc", O_RDONLY | O_DIRECTORY))
ON(own_command, try_open("/proc/self/cmdline", O_RDONLY))
ON(own_descriptors, try_open("/proc/self/fd", O_RDONLY | O_DIRECTORY))
ON(own_maps, try_open("/proc/self/maps", O_RDONLY))

static int own_parent(const Targets *targets)
{
	char path[64];

	/* the probe itself: another process of ours */
	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", (int)getppid());
	return try_open(path, O_RDONLY);
}

static int watch(const Targets *targets)
{
	int fd = inotify_init1(IN_CLOEXEC);

	return fd < 0 ? -errno : TRY(inotify_add_watch(fd, home(), IN_CREATE));
}

/* From folder to folder, as editors, git and package managers do. */
static int rename_across(const Targets *targets)
{
	char one[] = "/tmp/probe-a-XXXXXX", two[] = "/tmp/probe-b-XXXXXX", from[64], to[64];
	int fd, r;

	if (!mkdtemp(one) || !mkdtemp(two))
		return -errno;
	(void)snprintf(from, sizeof(from), "%s/file", one);
	(void)snprintf(to, sizeof(to), "%s/file", two);
	fd = open(from, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : TRY(rename(from, to));
	(void)unlink(from);
	(void)unlink(to);
	(void)rmdir(one);
	(void)rmdir(two);
	return r;
}

static int links(const Targets *targets)
{
	char folder[] = "/tmp/probe-l-XXXXXX", file[64], hard[64], soft[64];
	int fd, r;

	if (!mkdtemp(folder))
		return -errno;
	(void)snprintf(file, sizeof(file), "%s/file", folder);
	(void)snprintf(hard, sizeof(hard), "%s/hard", folder);
	(void)snprintf(soft, sizeof(soft), "%s/soft", folder);
	fd = open(file, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : TRY(link(file, hard));
	if (!r)
		r = TRY(symlink(file, soft));
	(void)unlink(file);
	(void)unlink(hard);
	(void)unlink(soft);
	(void)rmdir(folder);
	return r;
}

static int fifo(const Targets *targets)
{
	char path[64];
	int r;

	(void)snprintf(path, sizeof(path), "/tmp/probe-fifo-%d", (int)getpid());
	r = TRY(mkfifo(path, 0600));
	(void)unlink(path);
	return r;
}

/* What programs do to a file besides reading and writing it. */
static int handle(const Targets *targets)
{
	char path[] = "/tmp/probe-h-XXXXXX";
	int fd = mkstemp(path), r = 0;
	struct stat st;

	if (fd < 0)
		return -errno;
	if (fchmod(fd, 0755) < 0 || ftruncate(fd, 8192) < 0 || posix_fallocate(fd, 0, 4096) != 0 ||
		flock(fd, LOCK_EX) < 0 || futimens(fd, NULL) < 0 || fstat(fd, &st) < 0 || fsync(fd) < 0 ||
		fchown(fd, (uid_t)-1, getgid()) < 0)
		r = errno ? -errno : ODD;
	(void)unlink(path);
	return r;
}

static int copy(const Targets *targets)
{
	char path[] = "/tmp/probe-c-XXXXXX";
	int to = mkstemp(path), from = open("/etc/passwd", O_RDONLY | O_CLOEXEC), r;

	if (to < 0 || from < 0)
		return -errno;
	r = TRY(sendfile(to, from, NULL, 64));
	(void)unlink(path);
	return r;
}

/* A program of one's own: built, then run. */
static int own_program(const Targets *targets)
{
	char path[] = "/tmp/probe-p-XXXXXX";
	int fd = mkstemp(path), r;

	if (fd < 0)
		return -errno;
	if (write(fd, "#!/bin/sh\nexit 0\n", 17) != 17 || fchmod(fd, 0700) < 0)
		return -errno;
	(void)close(fd);
	r = try_program((const char *const[]){ path, NULL });
	(void)unlink(path);
	return r;
}

static int shared_memory(const Targets *targets)
{
	char name[32];
	int fd;

	(void)snprintf(name, sizeof(name), "/probe-%d", (int)getpid());
	fd = shm_open(name, O_RDWR | O_CREAT | O_EXCL, 0600);
	if (fd < 0)
		return -errno;
	return TRY(shm_unlink(name));
}

const Act acts_needed_files[] = {
	{ "work-home", NEEDED, { 0 }, work_home, "its home" },
	{ "work-tmp", NEEDED, { 0 }, work_tmp, "temporary files" },
	{ "work-var-tmp", NEEDED, { 0 }, work_var_tmp, "temporary files that outlive a boot" },
	{ "work-run", NEEDED, { 0 }, run_folder, "sockets of its services" },
	{ "work-shm", NEEDED, { 0 }, work_shm, "shared memory between its processes" },
	{ "shared-memory", NEEDED, { 0 }, shared_memory, "Python's multiprocessing, browsers" },
	{ "dev-null", NEEDED, { 0 }, read_null, "nohup" },
	{ "dev-random", NEEDED, { 0 }, read_random, "keys" },
	{ "read-libraries", NEEDED, { 0 }, read_libraries, "programs" },
	{ "read-names", NEEDED, { 0 }, read_names, "names of hosts" },
	{ "read-processors", NEEDED, { 0 }, read_processors, "how many workers to start" },
	{ "read-memory-size", NEEDED, { 0 }, read_memory_size, "the same" },
	{ "read-system", NEEDED, { 0 }, read_system, "the same" },
	{ "list-processes", NEEDED, { 0 }, list_processes, "ps" },
	{ "proc-own-cmdline", NEEDED, { 0 }, own_command, "ps" },
	{ "proc-own-fd", NEEDED, { 0 }, own_descriptors, "/dev/stdin, lsof" },
	{ "proc-own-maps", NEEDED, { 0 }, own_maps, "debuggers, sanitizers" },
	{ "proc-own-parent", NEEDED, { 0 }, own_parent, "ps" },
	{ "inotify", NEEDED, { 0 }, watch, "servers that reload" },
	{ "rename-across", NEEDED, { 0 }, rename_across, "editors, git, npm" },
	{ "links", NEEDED, { 0 }, links, "git, npm, virtual environments" },
	{ "fifo", NEEDED, { 0 }, fifo, "shells" },
	{ "handle-files", NEEDED, { 0 }, handle, "modes, locks, times, space" },
	{ "copy-files", NEEDED, { 0 }, copy, "servers" },
	{ "own-program", NEEDED, { 0 }, own_program, "scripts, builds" },
	{ NULL },
};

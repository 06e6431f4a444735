/* SPDX-License-Identifier: MIT */
#include "shell/tools/script.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/bus/run.h"
#include "shell/tools/language.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SCRIPTS_OF_A_SECOND 100U

int script_read(const char *path, char **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(path, SCRIPT_STDIN) == 0)
		return file_read_fd(STDIN_FILENO, RUN_CODE_MAX, ret, ret_n);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : file_read_fd(fd, RUN_CODE_MAX, ret, ret_n);
}

static int write_all(int fd, const char *bytes, size_t n)
{
	while (n) {
		ssize_t written = write(fd, bytes, n);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		n -= (size_t)written;
	}
	return 0;
}

static int folder_open(const char *home)
{
	static const char *const parts[] = { "workspace", "scripts" };
	_cleanup_close_ int fd = open(home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; fd >= 0 && i < ELEMENTSOF(parts); i++) {
		int next;

		if (mkdirat(fd, parts[i], 0755) < 0 && errno != EEXIST)
			return -errno;
		next = openat(fd, parts[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		fd_close(fd);
		fd = next;
	}
	return fd < 0 ? -errno : TAKE_FD(fd);
}

/* A name that nothing has yet: 2026-11-22-090503.py, and -2 and so on for more of them in one second. */
static int file_create(int folder_fd, const char *language, char *name, size_t size)
{
	time_t now = time(NULL);
	struct tm parts;
	char date[32];

	(void)localtime_r(&now, &parts);
	(void)strftime(date, sizeof(date), "%Y-%m-%d-%H%M%S", &parts);
	for (unsigned int i = 1; i <= SCRIPTS_OF_A_SECOND; i++) {
		char number[16] = "";
		int fd;

		if (i > 1)
			(void)snprintf(number, sizeof(number), "-%u", i);
		(void)snprintf(name, size, "%s%s%s", date, number, language_extension(language));
		fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC,
			strcmp(language, "bash") == 0 ? 0755 : 0644);
		if (fd >= 0 || errno != EEXIST)
			return fd < 0 ? -errno : fd;
	}
	return -EEXIST;
}

int script_keep(const char *language, const char *code, size_t n, char **ret)
{
	_cleanup_close_ int folder_fd = -EBADF, fd = -EBADF;
	const char *home = getenv("HOME");
	char name[96];
	int r;

	if (!home)
		return -ENOENT;
	folder_fd = folder_open(home);
	if (folder_fd < 0)
		return folder_fd;
	fd = file_create(folder_fd, language, name, sizeof(name));
	if (fd < 0)
		return fd;
	r = write_all(fd, code, n);
	if (r < 0) {
		(void)unlinkat(folder_fd, name, 0); /* half of it is of no use */
		return r;
	}
	*ret = str_format("%s/workspace/scripts/%s", home, name);
	return *ret ? 0 : -ENOMEM;
}

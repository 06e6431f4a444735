/* SPDX-License-Identifier: MIT */
#include "shell/tools/script.h"
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/bus/run.h"
#include "shell/tools/language.h"

#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define SCRIPTS_OF_A_NAME 100U

int script_read(const char *path, char **ret, size_t *ret_n)
{
	_cleanup_close_ int fd = -EBADF;

	if (strcmp(path, SCRIPT_STDIN) == 0)
		return file_read_fd(STDIN_FILENO, RUN_CODE_MAX, ret, ret_n);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	return fd < 0 ? -errno : file_read_fd(fd, RUN_CODE_MAX, ret, ret_n);
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

/* A file of that name has that content already. */
static bool is_kept(int folder_fd, const char *name, const char *code, size_t n)
{
	_cleanup_free_ char *text = NULL;
	size_t size;

	return file_read_at(folder_fd, name, O_NOFOLLOW, n, &text, &size) == 0 && size == n &&
	       memcmp(text, code, n) == 0;
}

/* `stem` and `extension`, with -2 and so on between them where another script has that name. 0: it is there already. */
static int file_create(int folder_fd, const char *stem, const char *extension, const char *code, size_t n,
	bool executable, char *name, size_t size)
{
	for (unsigned int i = 1; i <= SCRIPTS_OF_A_NAME; i++) {
		char number[16] = "";
		int fd;

		if (i > 1)
			(void)snprintf(number, sizeof(number), "-%u", i);
		if (snprintf(name, size, "%s%s%s", stem, number, extension) >= (int)size)
			return -ENAMETOOLONG;
		fd = openat(folder_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, executable ? 0755 : 0644);
		if (fd >= 0 || errno != EEXIST)
			return fd < 0 ? -errno : fd;
		if (is_kept(folder_fd, name, code, n))
			return 0;
	}
	return -EEXIST;
}

/* plot.py: "plot" and ".py"; of stdin: the date and the language's extension. */
static void name_of(const char *path, const char *language, char *stem, size_t size, const char **ret_extension)
{
	const char *base = strrchr(path, '/'), *dot;
	time_t now = time(NULL);
	struct tm parts;

	base = base ? base + 1 : path;
	dot = strrchr(base, '.');
	if (strcmp(path, SCRIPT_STDIN) == 0) {
		(void)localtime_r(&now, &parts);
		(void)strftime(stem, size, "%Y-%m-%d-%H%M%S", &parts);
		*ret_extension = language_extension(language);
		return;
	}
	if (!dot || dot == base)
		dot = base + strlen(base);
	(void)snprintf(stem, size, "%.*s", (int)(dot - base), base);
	*ret_extension = dot;
}

int script_keep(const char *path, const char *language, const char *code, size_t n, char **ret)
{
	_cleanup_close_ int folder_fd = -EBADF, fd = -EBADF;
	const char *home = getenv("HOME"), *extension;
	char stem[NAME_MAX + 1], name[NAME_MAX + 1];
	int r;

	if (!home)
		return -ENOENT;
	folder_fd = folder_open(home);
	if (folder_fd < 0)
		return folder_fd;
	name_of(path, language, stem, sizeof(stem), &extension);
	r = file_create(folder_fd, stem, extension, code, n, strcmp(language, "bash") == 0, name, sizeof(name));
	if (r > 0) {
		fd = r;
		r = file_write_all(fd, code, n);
		if (r < 0)
			(void)unlinkat(folder_fd, name, 0); /* half of it is of no use */
	}
	if (r < 0)
		return r;
	*ret = str_format("%s/workspace/scripts/%s", home, name);
	return *ret ? 0 : -ENOMEM;
}

/* SPDX-License-Identifier: MIT */
#include "shell/tools/check-files.h"
#include "shell/base/file.h"

#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FIRST_LINE 128U
#define MAKEFILE_BYTES (256U * 1024)

static const char *const language_names[] = { "python", "shell", "javascript", "typescript", "json", "yaml", "c", "go",
	"rust", "make" };

const char *check_language_name(CheckLanguage language)
{
	return language_names[language];
}

static const struct {
	const char *pattern;
	CheckLanguage language;
} patterns[] = {
	{ "*.py", CHECK_PYTHON },
	{ "*.sh", CHECK_SHELL },
	{ "*.bash", CHECK_SHELL },
	{ "*.js", CHECK_JAVASCRIPT },
	{ "*.cjs", CHECK_JAVASCRIPT },
	{ "*.mjs", CHECK_JAVASCRIPT },
	{ "*.ts", CHECK_TYPESCRIPT },
	{ "*.tsx", CHECK_TYPESCRIPT },
	{ "*.json", CHECK_JSON },
	{ "*.yaml", CHECK_YAML },
	{ "*.yml", CHECK_YAML },
	{ "*.c", CHECK_C },
	{ "*.h", CHECK_C },
	{ "*.go", CHECK_GO },
	{ "*.rs", CHECK_RUST },
	{ "Makefile", CHECK_MAKE },
	{ "GNUmakefile", CHECK_MAKE },
};

CheckLanguage check_language_of(const char *name, const char *first)
{
	for (size_t i = 0; i < ELEMENTSOF(patterns); i++)
		if (fnmatch(patterns[i].pattern, name, 0) == 0)
			return patterns[i].language;
	if (strchr(name, '.') || !first || strncmp(first, "#!", 2) != 0)
		return CHECK_LANGUAGES_N;
	if (strstr(first, "python"))
		return CHECK_PYTHON;
	if (strstr(first, "node"))
		return CHECK_JAVASCRIPT;
	/* of zsh, fish and others these checks know nothing */
	for (const char *c = first; (c = strstr(c, "sh")); c += 2)
		if ((c[-1] == '/' || c[-1] == ' ' || strncmp(c - 2, "ba", 2) == 0 || strncmp(c - 2, "da", 2) == 0) &&
			(c[2] == '\0' || strchr(" \t\r\n", c[2])))
			return CHECK_SHELL;
	return CHECK_LANGUAGES_N;
}

bool check_is_test(CheckLanguage language, const char *name)
{
	static const struct {
		CheckLanguage language;
		const char *pattern;
	} tests[] = {
		{ CHECK_PYTHON, "test_*.py" },
		{ CHECK_PYTHON, "*_test.py" },
		{ CHECK_JAVASCRIPT, "*.test.?(c|m)js" },
		{ CHECK_JAVASCRIPT, "test?([-_]*).?(c|m)js" },
		{ CHECK_GO, "*_test.go" },
	};

	for (size_t i = 0; i < ELEMENTSOF(tests); i++)
		if (tests[i].language == language && fnmatch(tests[i].pattern, name, FNM_EXTMATCH) == 0)
			return true;
	/* theirs stand among the code */
	return language == CHECK_RUST;
}

static bool is_passed_over(const char *folder)
{
	static const char *const names[] = { "node_modules", "venv", "build", "dist", "__pycache__", "vendor", "target",
		"site-packages" };

	if (*folder == '.')
		return true;
	for (size_t i = 0; i < ELEMENTSOF(names); i++)
		if (strcmp(names[i], folder) == 0)
			return true;
	return false;
}

/* A regular file that opens without waiting for anybody. */
static int file_open(int dir_fd, const char *name)
{
	struct stat st;
	int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);

	if (fd >= 0 && (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)))
		fd = fd_close(fd);
	return fd;
}

static const char *first_line(int dir_fd, const char *name, char buffer[static FIRST_LINE])
{
	_cleanup_close_ int fd = file_open(dir_fd, name);
	ssize_t n = fd < 0 ? -1 : read(fd, buffer, FIRST_LINE - 1);

	if (n <= 0)
		return NULL;
	buffer[n] = '\0';
	buffer[strcspn(buffer, "\n")] = '\0';
	return buffer;
}

static bool has_test_target(int dir_fd, const char *name)
{
	_cleanup_close_ int fd = file_open(dir_fd, name);
	_cleanup_free_ char *text = malloc(MAKEFILE_BYTES);
	ssize_t n = fd < 0 || !text ? -1 : read(fd, text, MAKEFILE_BYTES - 1);

	if (n <= 0)
		return false;
	text[n] = '\0';
	for (const char *line = text; line; line = (line = strchr(line, '\n')) ? line + 1 : NULL)
		if (strncmp(line, "test:", 5) == 0 && line[5] != '=')
			return true;
	return false;
}

static int file_add(CheckFiles *files, int dir_fd, const char *prefix, const char *name)
{
	char buffer[FIRST_LINE];
	const char *first = strchr(name, '.') ? NULL : first_line(dir_fd, name, buffer);
	CheckLanguage language = check_language_of(name, first);
	char *path;

	if (language == CHECK_LANGUAGES_N)
		return 0;
	/* below others, what builds and tests is what the one on top says */
	if (language == CHECK_MAKE && (*prefix || !has_test_target(dir_fd, name)))
		return 0;
	files->bytes += strlen(prefix) + strlen(name) + 4;
	if (files->n == CHECK_FILES_MAX || files->bytes > CHECK_NAMES_BYTES) {
		files->cut = true;
		return 0;
	}
	path = str_format("./%s%s", prefix, name);
	if (!path)
		return -ENOMEM;
	files->n++;
	if (check_is_test(language, name))
		files->tests |= 1U << language;
	return strlist_push(&files->names[language], path);
}

static int walk(CheckFiles *files, int dir_fd, const char *prefix, unsigned int depth);

static int walk_into(CheckFiles *files, int dir_fd, const char *prefix, const char *name, unsigned int depth)
{
	_cleanup_free_ char *below = NULL;
	int fd;

	if (is_passed_over(name))
		return 0;
	if (depth == CHECK_DEPTH_MAX) {
		files->cut = true;
		return 0;
	}
	below = str_format("%s%s/", prefix, name);
	if (!below)
		return -ENOMEM;
	fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	/* another's, or gone by now */
	return fd < 0 ? 0 : walk(files, fd, below, depth + 1);
}

static int name_order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Takes `dir_fd`. */
static int walk(CheckFiles *files, int dir_fd, const char *prefix, unsigned int depth)
{
	_cleanup_close_ int fd = dir_fd;
	struct dirent **entries = NULL;
	int n = scandirat(fd, ".", &entries, NULL, name_order), r = 0;

	for (int i = 0; i < n; i++) {
		const char *name = entries[i]->d_name;
		struct stat st;

		if (r == 0 && strcmp(name, ".") != 0 && strcmp(name, "..") != 0 &&
			fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
			if (S_ISREG(st.st_mode))
				r = file_add(files, fd, prefix, name);
			else if (S_ISDIR(st.st_mode))
				r = walk_into(files, fd, prefix, name, depth);
		}
		free(entries[i]);
	}
	free(entries);
	return r;
}

int check_files_find(const char *path, CheckFiles *ret)
{
	_cleanup_free_ char *real = realpath(path, NULL);
	_cleanup_close_ int fd = -EBADF;
	struct stat st;
	char *slash;
	int r;

	if (!real || stat(real, &st) < 0)
		return -errno;
	ret->whole = S_ISDIR(st.st_mode);
	if (ret->whole) {
		ret->folder = TAKE_PTR(real);
		fd = open(ret->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		return fd < 0 ? -errno : walk(ret, TAKE_FD(fd), "", 0);
	}
	if (!S_ISREG(st.st_mode))
		return -EINVAL;
	slash = strrchr(real, '/');
	ret->folder = slash == real ? strdup("/") : strndup(real, (size_t)(slash - real));
	if (!ret->folder)
		return -ENOMEM;
	fd = open(ret->folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : file_add(ret, fd, "", slash + 1);
	return r;
}

void check_files_done(CheckFiles *files)
{
	for (size_t i = 0; i < CHECK_LANGUAGES_N; i++)
		strlist_done(&files->names[i]);
	free(files->folder);
	*files = (CheckFiles){ 0 };
}

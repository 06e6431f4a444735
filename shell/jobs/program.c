/* SPDX-License-Identifier: MIT */
#include "shell/jobs/program.h"
#include "shell/base/str.h"

#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#define DEFAULT_PATH "/usr/local/bin:/usr/bin:/bin"

/* 0: it can be executed, as far as can be told from here. */
static int look(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	return access(path, X_OK) < 0 ? -errno : 0;
}

static int here(const char *word, char **ret, Reason *ret_reason)
{
	_cleanup_free_ char *folder = NULL;
	int r = look(word);

	if (r == -EACCES)
		return reason_set(ret_reason, r,
			"%s cannot be executed; `chmod +x` it, or name its interpreter before it (python3 %s)", word,
			word);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", word, strerror(-r));
	if (*word != '/') {
		folder = getcwd(NULL, 0);
		if (!folder)
			return reason_set(ret_reason, -errno, "the folder that this is called in: %s", strerror(errno));
	}
	if (folder && strncmp(word, "./", 2) == 0)
		word += 2;
	*ret = folder ? str_format("%s/%s", folder, word) : strdup(word);
	return *ret ? 0 : reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
}

int program_find(const char *word, char **ret, Reason *ret_reason)
{
	const char *path = getenv("PATH");
	int r, found = -ENOENT;

	if (!*word)
		return reason_set(ret_reason, -EINVAL, "the command is empty");
	if (strchr(word, '/'))
		return here(word, ret, ret_reason);
	for (const char *next = path ? path : DEFAULT_PATH; *next;) {
		size_t n = strcspn(next, ":");
		_cleanup_free_ char *file = str_format("%.*s%s%s", (int)n, next, n ? "/" : "", word);

		if (!file)
			return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
		r = look(file);
		if (r == 0)
			return here(file, ret, ret_reason);
		if (r == -EACCES)
			found = r;
		next += n + (next[n] == ':');
	}
	if (found == -EACCES)
		return reason_set(ret_reason, found, "%s: there is one in PATH that may not be executed", word);
	r = access(word, F_OK);
	return reason_set(ret_reason, found, "%s: command not found%s%s%s", word, r == 0 ? "; ./" : "",
		r == 0 ? word : "", r == 0 ? " is meant?" : " in PATH");
}

int program_self(char **ret, Reason *ret_reason)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 1);
	char *end;

	if (n < 0)
		return reason_set(ret_reason, -errno, "/proc/self/exe: %s", strerror(errno));
	path[n] = '\0';
	/* it was replaced while it runs: the new one does as well */
	end = strstr(path, " (deleted)");
	if (end && !end[strlen(" (deleted)")])
		*end = '\0';
	*ret = strdup(path);
	return *ret ? 0 : reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
}

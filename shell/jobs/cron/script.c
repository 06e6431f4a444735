/* SPDX-License-Identifier: MIT */
#include "shell/jobs/cron/script.h"
#include "shell/base/file.h"
#include "shell/base/str.h"

#include <ctype.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HEAD_BYTES (16U * 1024) /* so far a script is looked at */

typedef enum Kind {
	KIND_UNKNOWN,
	KIND_BASH,
	KIND_SH,
	KIND_PYTHON,
	KIND_NODE,
	KIND_PROGRAM, /* of another interpreter, or compiled */
} Kind;

static const char python_check[] = "import sys; compile(open(sys.argv[1], 'rb').read(), sys.argv[1], 'exec')";

/* By what is behind #!, and by the name's end where nothing is. */
static Kind kind_of(const char *path, const char *head)
{
	static const struct {
		const char *program, *suffix;
		Kind kind;
	} rows[] = {
		{ "bash", ".bash", KIND_BASH },
		{ "bash", ".sh", KIND_BASH },
		{ "sh", "", KIND_SH },
		{ "dash", "", KIND_SH },
		{ "python", ".py", KIND_PYTHON },
		{ "node", ".js", KIND_NODE },
		{ "node", ".mjs", KIND_NODE },
		{ "node", ".cjs", KIND_NODE },
	};
	char line[200];
	char *saved = NULL, *word, *slash;

	if (strncmp(head, "#!", 2) != 0) {
		const char *suffix = strrchr(path, '.');

		for (size_t i = 0; suffix && i < ELEMENTSOF(rows); i++)
			if (strcmp(rows[i].suffix, suffix) == 0)
				return rows[i].kind;
		return KIND_UNKNOWN;
	}
	(void)snprintf(line, sizeof(line), "%.*s", (int)strcspn(head + 2, "\n"), head + 2);
	word = strtok_r(line, " \t\r", &saved);
	slash = word ? strrchr(word, '/') : NULL;
	if (slash && strcmp(slash, "/env") == 0) {
		do
			word = strtok_r(NULL, " \t\r", &saved);
		while (word && *word == '-');
		slash = NULL;
	}
	if (slash)
		word = slash + 1;
	for (size_t i = 0; word && i < ELEMENTSOF(rows); i++)
		if (strcmp(rows[i].program, word) == 0 ||
			(rows[i].kind == KIND_PYTHON && strncmp(word, "python", 6) == 0))
			return rows[i].kind;
	return KIND_PROGRAM;
}

/* It sets what ends it at its first failure, somewhere at its head. */
static bool is_strict(const char *head)
{
	for (const char *line = head; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		line += strspn(line, " \t");
		if (strncmp(line, "set -", 5) == 0 && memchr(line, 'e', strcspn(line, "\n ;o")))
			return true;
	}
	return false;
}

/* Standard output of the child is our standard error. Returns 0, or -EINVAL: it found something and said so. */
static int check(const char *const *argv, Reason *ret_reason)
{
	pid_t pid = fork();
	int status = 0;

	if (pid < 0)
		return reason_set(ret_reason, -errno, "%s: %s", argv[0], strerror(errno));
	if (pid == 0) {
		(void)dup2(STDERR_FILENO, STDOUT_FILENO);
		execvp(argv[0], (char *const *)(uintptr_t)argv);
		(void)fprintf(stderr, "%s: %s\n", argv[0], strerror(errno));
		_exit(127);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return reason_set(ret_reason, -errno, "%s: %s", argv[0], strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
		return reason_set(ret_reason, -ENOENT, "%s, which runs it, is not there", argv[0]);
	return reason_set(ret_reason, -EINVAL, "%s finds errors in it, see above; nothing was added", argv[0]);
}

static int syntax_check(Kind kind, const char *path, Reason *ret_reason)
{
	const char *const bash[] = { "bash", "-n", path, NULL }, *const sh[] = { "sh", "-n", path, NULL },
			  *const python[] = { "python3", "-c", python_check, path, NULL },
			  *const node[] = { "node", "--check", path, NULL };

	switch (kind) {
	case KIND_BASH:
		return check(bash, ret_reason);
	case KIND_SH:
		return check(sh, ret_reason);
	case KIND_PYTHON:
		return check(python, ret_reason);
	case KIND_NODE:
		return check(node, ret_reason);
	default:
		return 0;
	}
}

static const char *interpreter_of(Kind kind, bool strict, bool executable)
{
	if (!strict && kind == KIND_BASH)
		return "/bin/bash -euo pipefail ";
	if (!strict && kind == KIND_SH)
		return "/bin/sh -eu ";
	if (executable)
		return "";
	switch (kind) {
	case KIND_BASH:
		return "/bin/bash ";
	case KIND_SH:
		return "/bin/sh ";
	case KIND_PYTHON:
		return "/usr/bin/python3 ";
	case KIND_NODE:
		return "/usr/bin/env node ";
	default:
		return NULL;
	}
}

int script_command(const char *path, char **ret, Reason *ret_reason)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	_cleanup_free_ char *word = NULL;
	const char *interpreter;
	char head[HEAD_BYTES];
	struct stat st;
	bool executable;
	ssize_t n;
	Kind kind;
	int r;

	if (fd < 0)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
		return reason_set(ret_reason, -EINVAL, "%s is no file with a script or program", path);
	n = read(fd, head, sizeof(head) - 1);
	if (n <= 0)
		return reason_set(ret_reason, -EINVAL, "%s: %s", path, n < 0 ? strerror(errno) : "it is empty");
	head[n] = '\0';
	kind = kind_of(path, head);
	executable = access(path, X_OK) == 0;
	/* the kernel executes no text without #!, and the shell would take it for a script of its own */
	if (executable && kind != KIND_UNKNOWN && strncmp(head, "#!", 2) != 0)
		executable = false;
	if (kind == KIND_UNKNOWN && executable)
		kind = KIND_PROGRAM;
	interpreter = interpreter_of(kind, is_strict(head), executable);
	if (!interpreter)
		return reason_set(ret_reason, -EACCES,
			"%s is not executable, and nothing says what runs it: chmod +x %s, or name it .sh, .py or .js",
			path, path);
	r = syntax_check(kind, path, ret_reason);
	if (r < 0)
		return r;
	word = script_word(path);
	*ret = word ? str_format("%s%s", interpreter, word) : NULL;
	return *ret ? 0 : reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
}

char *script_word(const char *word)
{
	size_t n = strlen(word), used = 0;
	char *text = malloc(6 * n + 3);
	bool plain = n > 0;

	if (!text)
		return NULL;
	for (const char *c = word; *c; c++)
		plain &= isalnum((unsigned char)*c) || strchr("/._-+=:,@", *c);
	if (plain) {
		memcpy(text, word, n + 1);
		return text;
	}
	text[used++] = '\'';
	for (; *word; word++) {
		/* out of the quotes, a quote, and into them again */
		if (*word == '\'')
			used += (size_t)sprintf(text + used, "'\\\\''");
		else {
			if (*word == '%' || *word == '\\')
				text[used++] = '\\';
			text[used++] = *word;
		}
	}
	text[used++] = '\'';
	text[used] = '\0';
	return text;
}

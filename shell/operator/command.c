/* SPDX-License-Identifier: MIT */
#include "shell/operator/operator.h"
#include "shell/base/file.h"
#include "shell/base/rate.h"
#include "shell/base/spawn.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <string.h>
#include <sys/wait.h>

#define OUTPUT_MAX (64U * 1024)

int reason_set(Reason *ret_reason, int error, const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(ret_reason->text, sizeof(ret_reason->text), format, ap);
	va_end(ap);
	return error;
}

/* What the operator or its shell set must not steer the tools (locale, pager, bus addresses). */
static char *const clean_environment[] = {
	"PATH=/usr/sbin:/usr/bin:/sbin:/bin",
	"LC_ALL=C.UTF-8",
	"SYSTEMD_PAGER=",
	"SYSTEMD_COLORS=0",
	NULL,
};

/* The last line that says something: tools say the reason last, and systemctl then where to read on. */
static void last_line(char *output, size_t n, char *buffer, size_t size)
{
	char *line;

	while (n && (output[n - 1] == '\n' || output[n - 1] == ' '))
		output[--n] = '\0';
	for (;;) {
		line = memrchr(output, '\n', n);
		line = line ? line + 1 : output;
		if (line == output || strncmp(line, "See ", 4) != 0)
			break;
		n = (size_t)(line - output) - 1;
		output[n] = '\0';
	}
	(void)str_quote(line, strlen(line), buffer, size);
}

static int wait_for(pid_t pid, int *ret_status)
{
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return 0;
}

static int64_t now_ms(void)
{
	return (int64_t)(clock_monotonic_usec() / 1000);
}

#define NO_END INT64_MAX

/*
 * Reads until the end, or until `end_ms`; keeps the first OUTPUT_MAX bytes, and drains the rest so that the tool never blocks.
 * Returns 0, -ETIMEDOUT, or another negative errno; `output` and its length are set in any case.
 */
static int read_output(int fd, int64_t end_ms, char *output, size_t *ret_n)
{
	size_t used = 0;
	char waste[4096];

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int64_t left = end_ms == NO_END ? -1 : end_ms - now_ms();
		bool full = used >= OUTPUT_MAX;
		ssize_t n;
		int r;

		output[used] = '\0';
		*ret_n = used;
		if (end_ms != NO_END && left <= 0)
			return -ETIMEDOUT;
		r = poll(&poll_fd, 1, (int)left);
		if (r < 0 && errno != EINTR)
			return -errno;
		if (r <= 0)
			continue;
		n = read(fd, full ? waste : output + used, full ? sizeof(waste) : OUTPUT_MAX - used);
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return 0;
		if (n > 0 && !full)
			used += (size_t)n;
	}
}

/* A tool that was started: `fd` is read until it ends, into `output`, which has room for OUTPUT_MAX bytes and a NUL. */
typedef struct Tool {
	pid_t pid;
	int fd;
	char *output;
	size_t n;
} Tool;

static void tool_done(Tool *tool)
{
	free(tool->output);
	(void)fd_close(tool->fd);
}

static int tool_start(const char *const argv[], Tool *tool, Reason *ret_reason)
{
	int fds[2], r;

	tool->output = malloc(OUTPUT_MAX + 1);
	if (!tool->output)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return reason_set(ret_reason, -errno, "pipe: %s", strerror(errno));
	tool->fd = fds[0];
	r = spawn(&(SpawnRequest){ .arguments = argv,
			  .environment = clean_environment,
			  .input_fd = -EBADF,
			  .output_fd = fds[1],
			  .error_fd = fds[1],
			  .own_group = true },
		&tool->pid);
	(void)fd_close(fds[1]);
	return r < 0 ? reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r)) : 0;
}

int command_output(const char *const argv[], unsigned int seconds, char **ret_output, Reason *ret_reason)
{
	_cleanup_(tool_done) Tool tool = { .fd = -EBADF };
	char line[512];
	int status = 0, r, k;

	r = tool_start(argv, &tool, ret_reason);
	if (r < 0)
		return r;
	r = read_output(tool.fd, now_ms() + (int64_t)seconds * 1000, tool.output, &tool.n);
	/* it has a process group of its own; after its last word it may still hang */
	if (r < 0)
		(void)kill(-tool.pid, SIGKILL);
	k = wait_for(tool.pid, &status);
	if (r == -ETIMEDOUT)
		return reason_set(ret_reason, r, "%s: no answer in %u seconds", argv[0], seconds);
	if (r == 0)
		r = k;
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r));
	if (WIFSIGNALED(status))
		return reason_set(ret_reason, -EPROTO, "%s: ended by signal %d", argv[0], WTERMSIG(status));
	if (WEXITSTATUS(status)) {
		_cleanup_free_ char *copy = strdup(tool.output);

		if (copy)
			last_line(copy, strlen(copy), line, sizeof(line));
		(void)reason_set(
			ret_reason, 0, "%s: exit status %d: %s", argv[0], WEXITSTATUS(status), copy ? line : "");
	}
	if (ret_output)
		*ret_output = TAKE_PTR(tool.output);
	return WEXITSTATUS(status);
}

int command_run(const char *const argv[], Reason *ret_reason)
{
	_cleanup_(tool_done) Tool tool = { .fd = -EBADF };
	char line[512];
	int status = 0, r;

	r = tool_start(argv, &tool, ret_reason);
	if (r < 0)
		return r;
	/* where it cannot be read, how it ended says enough */
	(void)!read_output(tool.fd, NO_END, tool.output, &tool.n);
	r = wait_for(tool.pid, &status);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_line(tool.output, tool.n, line, sizeof(line));
	if (WIFSIGNALED(status))
		return reason_set(ret_reason, -EPROTO, "%s: ended by signal %d", argv[0], WTERMSIG(status));
	return reason_set(
		ret_reason, WEXITSTATUS(status), "%s: exit status %d: %s", argv[0], WEXITSTATUS(status), line);
}

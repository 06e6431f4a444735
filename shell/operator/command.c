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

static int tool_spawn(const char *const argv[], int output_fd, pid_t *ret)
{
	return spawn(&(SpawnRequest){ .arguments = argv,
			     .environment = clean_environment,
			     .input_fd = -EBADF,
			     .output_fd = output_fd,
			     .error_fd = output_fd,
			     .own_group = true },
		ret);
}

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

/* Reads until the end, keeps the first OUTPUT_MAX bytes, and drains the rest so that the tool never blocks.
 */
static size_t read_output(int fd, char *output)
{
	size_t used = 0;
	char waste[4096];

	for (;;) {
		bool full = used >= OUTPUT_MAX;
		ssize_t n = read(fd, full ? waste : output + used, full ? sizeof(waste) : OUTPUT_MAX - used);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		if (!full)
			used += (size_t)n;
	}
	output[used] = '\0';
	return used;
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

/* As read_output(), but no longer than until `end_ms`. Returns 0, -ETIMEDOUT, or another negative errno. */
static int read_output_until(int fd, char *output, int64_t end_ms)
{
	size_t used = 0;
	char waste[4096];

	for (;;) {
		struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
		int64_t left = end_ms - now_ms();
		bool full = used >= OUTPUT_MAX;
		ssize_t n;
		int r;

		output[used] = '\0';
		if (left <= 0)
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

int command_output(const char *const argv[], unsigned int seconds, char **ret_output, Reason *ret_reason)
{
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF;
	_cleanup_free_ char *output = malloc(OUTPUT_MAX + 1);
	char line[512];
	int fds[2], status = 0, r, k;
	pid_t pid = -1;

	if (!output)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return reason_set(ret_reason, -errno, "pipe: %s", strerror(errno));
	read_fd = fds[0];
	write_fd = fds[1];
	r = tool_spawn(argv, write_fd, &pid);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r));
	write_fd = fd_close(write_fd);
	r = read_output_until(read_fd, output, now_ms() + (int64_t)seconds * 1000);
	/* it has a process group of its own; after its last word it may still hang */
	if (r < 0)
		(void)kill(-pid, SIGKILL);
	k = wait_for(pid, &status);
	if (r == -ETIMEDOUT)
		return reason_set(ret_reason, r, "%s: no answer in %u seconds", argv[0], seconds);
	if (r == 0)
		r = k;
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r));
	if (WIFSIGNALED(status))
		return reason_set(ret_reason, -EPROTO, "%s: ended by signal %d", argv[0], WTERMSIG(status));
	if (WEXITSTATUS(status)) {
		_cleanup_free_ char *copy = strdup(output);

		if (copy)
			last_line(copy, strlen(copy), line, sizeof(line));
		(void)reason_set(
			ret_reason, 0, "%s: exit status %d: %s", argv[0], WEXITSTATUS(status), copy ? line : "");
	}
	if (ret_output)
		*ret_output = TAKE_PTR(output);
	return WEXITSTATUS(status);
}

int command_run(const char *const argv[], Reason *ret_reason)
{
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF;
	_cleanup_free_ char *output = malloc(OUTPUT_MAX + 1);
	char line[512];
	int fds[2], status = 0, r;
	size_t n;
	pid_t pid = -1;

	if (!output)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (pipe2(fds, O_CLOEXEC) < 0)
		return reason_set(ret_reason, -errno, "pipe: %s", strerror(errno));
	read_fd = fds[0];
	write_fd = fds[1];

	r = tool_spawn(argv, write_fd, &pid);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", argv[0], strerror(-r));
	write_fd = fd_close(write_fd);
	n = read_output(read_fd, output);
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return reason_set(ret_reason, -errno, "%s: %s", argv[0], strerror(errno));

	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	last_line(output, n, line, sizeof(line));
	if (WIFSIGNALED(status))
		return reason_set(ret_reason, -EPROTO, "%s: ended by signal %d", argv[0], WTERMSIG(status));
	return reason_set(
		ret_reason, WEXITSTATUS(status), "%s: exit status %d: %s", argv[0], WEXITSTATUS(status), line);
}

/* SPDX-License-Identifier: MIT */
/* Input and output are files in memory: neither end can block the other, whatever their sizes. */
#include "shell/enforce/program.h"
#include "shell/base/file.h"
#include "shell/base/spawn.h"

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define OUTPUT_MAX (4U << 20)
#define PATIENCE_MSEC 120000

static char *const clean_environment[] = { "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8", NULL };

static int make_file(const char *text)
{
	_cleanup_close_ int fd = memfd_create("creel-enforce", MFD_CLOEXEC);
	size_t n = text ? strlen(text) : 0;

	if (fd < 0)
		return -errno;
	while (n) {
		ssize_t k = write(fd, text, n);

		if (k < 0)
			return -errno;
		text += k;
		n -= (size_t)k;
	}
	return lseek(fd, 0, SEEK_SET) < 0 ? -errno : TAKE_FD(fd);
}

/* nft and its like say the reason first, and then show where. */
static void say_why(const char *program, int status, int error_fd, EnforceReason *ret_reason)
{
	const char *name = strrchr(program, '/');
	_cleanup_free_ char *text = NULL;
	char line[160] = "";
	size_t n = 0;

	if (!ret_reason)
		return;
	if (lseek(error_fd, 0, SEEK_SET) == 0 && file_read_fd(error_fd, OUTPUT_MAX, &text, &n) == 0)
		(void)str_quote(text, strcspn(text, "\n"), line, sizeof(line));
	if (*line)
		(void)enforce_reason(ret_reason, 0, "%s: %s", name ? name + 1 : program, line);
	else
		(void)enforce_reason(ret_reason, 0, "%s: exit status %d", name ? name + 1 : program, status);
}

/* -ETIMEDOUT: it was killed. Everything waits for whoever holds the lock (creel-enforce.c). */
static int wait_for(pid_t pid, int *ret_status)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	int r;

	do
		r = fd < 0 ? -1 : poll(&poll_fd, 1, PATIENCE_MSEC);
	while (r < 0 && errno == EINTR);
	if (r <= 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, ret_status, 0) < 0)
		if (errno != EINTR)
			return -errno;
	return r > 0 ? 0 : -ETIMEDOUT;
}

int program_run(const char *const argv[], const char *input, char **ret_output, EnforceReason *ret_reason)
{
	_cleanup_close_ int input_fd = make_file(input), output_fd = make_file(NULL), error_fd = make_file(NULL);
	int status, r;
	pid_t pid;

	if (input_fd < 0 || output_fd < 0 || error_fd < 0)
		return ret_reason ? enforce_reason(ret_reason, -ENOMEM, "no memory to run %s", argv[0]) : -ENOMEM;
	r = spawn(&(SpawnRequest){ .arguments = argv,
			  .environment = clean_environment,
			  .input_fd = input_fd,
			  .output_fd = output_fd,
			  .error_fd = error_fd },
		&pid);
	if (r < 0)
		return ret_reason ? enforce_reason(ret_reason, r, "%s: %s", argv[0], strerror(-r)) : r;
	r = wait_for(pid, &status);
	if (r < 0)
		return ret_reason ? enforce_reason(ret_reason, r, "%s: %s", argv[0], strerror(-r)) : r;
	status = WIFEXITED(status) ? WEXITSTATUS(status) : -EPROTO;
	if (status)
		say_why(argv[0], status, error_fd, ret_reason);
	else if (ret_output) {
		if (lseek(output_fd, 0, SEEK_SET) < 0)
			return -errno;
		r = file_read_fd(output_fd, OUTPUT_MAX, ret_output, NULL);
		if (r < 0)
			return r;
	}
	return status;
}

int nft_load(const char *script, EnforceReason *ret_reason)
{
	static const char *const argv[] = { "/usr/sbin/nft", "-f", "-", NULL };
	int r = program_run(argv, script, NULL, ret_reason);

	return r > 0 ? -EPROTO : r;
}

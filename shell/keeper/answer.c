/* SPDX-License-Identifier: MIT */
/*
 * A pipe without a writer tells its readers of the end, and one without a reader tells its writers. So the keeper has the writing end
 * while the program lives, and who asked and went away ends the program; later it has a reading end, and the writing end again for
 * the moment in which it looks whether anybody else reads. Ends are opened anew from each other by /proc: only their owner, root, can.
 */
#include "shell/keeper/answer.h"
#include "shell/base/log.h"
#include "shell/keeper/helper.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

static int other_end(int fd, int flags)
{
	char path[32];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_CLOEXEC);
}

/* Bytes are there, and somebody who reads; `fd` is the only writing end, and no reading end is ours. */
static bool is_waited_for(int fd)
{
	struct pollfd pipe = { .fd = fd };
	int n = 0;

	return ioctl(fd, FIONREAD, &n) == 0 && n > 0 && poll(&pipe, 1, 0) >= 0 && !(pipe.revents & POLLERR);
}

/* Without its bytes coming into this process. */
static void take_away(Answer *answer)
{
	_cleanup_close_ int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);

	while (null_fd >= 0 && splice(answer->fd, NULL, null_fd, NULL, 1U << 20, SPLICE_F_NONBLOCK) > 0)
		;
	answer->fd = fd_close(answer->fd);
	answer_done(answer);
}

static int on_over(sd_event_source *source, uint64_t usec, void *userdata)
{
	take_away(userdata);
	return 0;
}

static int on_ended(sd_event_source *source, const siginfo_t *info, void *userdata)
{
	Answer *answer = userdata;
	_cleanup_close_ int write_fd = answer->fd;
	sd_event *event = sd_event_source_get_event(source);

	answer->writer = sd_event_source_disable_unref(answer->writer);
	answer->fd = -EBADF;
	if (!is_waited_for(write_fd))
		return 0;
	answer->fd = other_end(write_fd, O_RDONLY);
	if (answer->fd < 0) {
		log_error("an answer to the agent cannot be watched: %s", strerror(errno));
		return 0;
	}
	if (sd_event_add_time_relative(
		    event, &answer->over, CLOCK_MONOTONIC, ANSWER_SECONDS * UINT64_C(1000000), 0, on_over, answer) < 0)
		take_away(answer);
	return 0;
}

bool answer_is_free(Answer *answer)
{
	_cleanup_close_ int write_fd = -EBADF;
	bool waited_for;

	if (answer->writer)
		return false;
	if (!answer->over)
		return true;
	write_fd = other_end(answer->fd, O_WRONLY);
	if (write_fd < 0)
		return false;
	answer->fd = fd_close(answer->fd);
	waited_for = is_waited_for(write_fd);
	if (waited_for)
		answer->fd = other_end(write_fd, O_RDONLY);
	if (answer->fd < 0)
		answer_done(answer);
	return !waited_for;
}

int answer_start(sd_event *event, Answer *answer, char *const argv[], int input_fd, unsigned int bytes, int *ret_fd)
{
	_cleanup_close_ int read_fd = -EBADF, write_fd = -EBADF;
	int fds[2], r;
	pid_t pid = 0;

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	read_fd = fds[0];
	write_fd = fds[1];
	if (bytes && fcntl(write_fd, F_SETPIPE_SZ, bytes) < 0)
		return -errno;
	r = helper_start(argv, (const int[]){ input_fd, write_fd, STDERR_FILENO, -EBADF }, &pid);
	if (r < 0)
		return r;
	r = sd_event_add_child(event, &answer->writer, pid, WEXITED, on_ended, answer);
	if (r < 0) {
		(void)kill(pid, SIGKILL);
		return r;
	}
	answer->fd = TAKE_FD(write_fd);
	*ret_fd = TAKE_FD(read_fd);
	return 0;
}

void answer_done(Answer *answer)
{
	if (answer->writer || answer->over)
		fd_close(answer->fd);
	answer->writer = sd_event_source_disable_unref(answer->writer);
	answer->over = sd_event_source_disable_unref(answer->over);
	answer->fd = -EBADF;
}

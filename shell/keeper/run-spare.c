/* SPDX-License-Identifier: MIT */
/* What a run has to do with the spare that serves it: made before it, told what it is, and then one with it. */
#include "shell/keeper/run.h"
#include "shell/bus/bus.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

int run_new_spare(Keeper *keeper, bool independent, Run **ret)
{
	_cleanup_(run_freep) Run *run = run_make(keeper);
	RunOptions asked = RUN_OPTIONS_NONE;
	_cleanup_(sd_bus_error_free) sd_bus_error error = SD_BUS_ERROR_NULL;
	int r;

	if (!run)
		return -ENOMEM;
	asked.language = "python";
	asked.independent = independent;
	asked.directory = keeper->identity->home;
	r = run_judge(run, &asked, &error);
	if (r < 0)
		return r;
	run_number(run);
	*ret = TAKE_PTR(run);
	return 0;
}

void run_become(Run *run, Run *spare)
{
	run->number = spare->number;
	run_name_files(run);
	memcpy(run->name, spare->name, sizeof(run->name));
	run->leaf_fd = TAKE_FD(spare->leaf_fd);
	run->pid_fd = TAKE_FD(spare->pid_fd);
	run->report_fd = TAKE_FD(spare->report_fd);
	run->pid = spare->pid;
	leaf_usage(run->leaf_fd, &run->before);
}

/* Label, directory and arguments, each with its NUL. */
static int pack(const RunOptions *options, char **ret, size_t *ret_n)
{
	size_t n = strlen(options->label) + strlen(options->directory) + 2;
	char *packet, *at;

	for (char *const *argument = options->arguments; argument && *argument; argument++)
		n += strlen(*argument) + 1;
	packet = malloc(n);
	if (!packet)
		return -ENOMEM;
	at = stpcpy(packet, options->label) + 1;
	at = stpcpy(at, options->directory) + 1;
	for (char *const *argument = options->arguments; argument && *argument; argument++)
		at = stpcpy(at, *argument) + 1;
	*ret = packet;
	*ret_n = n;
	return 0;
}

static int send_run(int channel_fd, const RunOptions *options, const int fds[static 4])
{
	_cleanup_free_ char *packet = NULL;
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(4 * sizeof(int))];
	} control = { 0 };
	struct iovec text = { 0 };
	struct msghdr message = {
		.msg_iov = &text,
		.msg_iovlen = 1,
		.msg_control = &control,
		.msg_controllen = sizeof(control.bytes),
	};
	struct cmsghdr *rights = CMSG_FIRSTHDR(&message);
	int r;

	r = pack(options, &packet, &text.iov_len);
	if (r < 0)
		return r;
	text.iov_base = packet;
	rights->cmsg_level = SOL_SOCKET;
	rights->cmsg_type = SCM_RIGHTS;
	rights->cmsg_len = CMSG_LEN(4 * sizeof(int));
	memcpy(CMSG_DATA(rights), fds, 4 * sizeof(int));
	return sendmsg(channel_fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

int run_hand_over(Run *run, int channel_fd)
{
	_cleanup_close_ int null_fd = -EBADF;
	int inside[2], outside[2], r;

	if (run->options.input_fd < 0) {
		null_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
		if (null_fd < 0)
			return -errno;
	}
	r = run_open_pipes(run->keeper->identity, inside, outside);
	if (r < 0)
		return r;
	r = send_run(channel_fd, &run->options,
		(int[]){ run->code_fd, null_fd < 0 ? run->options.input_fd : null_fd, inside[0], inside[1] });
	fd_close(inside[0]);
	fd_close(inside[1]);
	if (r < 0) {
		fd_close(outside[0]);
		fd_close(outside[1]);
		return r;
	}
	run->output_fd = outside[0];
	run->error_fd = outside[1];
	run->options.input_fd = fd_close(run->options.input_fd);
	return 0;
}

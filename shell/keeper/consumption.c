/* SPDX-License-Identifier: MIT */
/*
 * Disk and network beside what may be used of them.
 *
 * The kernel tells a quota to its owner, or to CAP_SYS_ADMIN, which a keeper has in effect only while it gives birth. So it
 * asks with the agent's effective uid, for one system call, in a thread of its own: whose effective uid is the agent's, its
 * processors and priority are the agent's to change, and would stay so. Real and saved uids are root's all the time, so it
 * cannot be signalled or traced. quotactl_fd(2) needs no device, only a folder on the file system.
 */
#include "shell/keeper/keeper.h"
#include "shell/policy/transfer.h"

#include <fcntl.h>
#include <linux/quota.h>
#include <pthread.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>

#ifndef SYS_quotactl_fd
#define SYS_quotactl_fd 443
#endif

#define USER_QUOTA ((unsigned int)Q_GETQUOTA << SUBCMDSHIFT | USRQUOTA)

typedef struct Question {
	int fd;
	uid_t uid;
	struct if_dqblk quota;
	int r;
} Question;

/* setresuid(2) by itself changes one thread; libc's would change all. */
static void *ask(void *userdata)
{
	Question *question = userdata;

	if (syscall(SYS_setresuid, -1, question->uid, -1) < 0 ||
		syscall(SYS_quotactl_fd, question->fd, USER_QUOTA, question->uid, &question->quota) < 0)
		question->r = -errno;
	return NULL;
}

int keeper_disk(const Keeper *keeper, DiskUse *ret)
{
	_cleanup_close_ int fd = -EBADF;
	Question question = { .uid = keeper->uid };
	const struct if_dqblk *quota = &question.quota;
	pthread_t thread;
	int r;

	r = identity_borrow(keeper->identity);
	if (r < 0)
		return r;
	/* only a folder, wherever a link leads: it says which file system */
	fd = open(keeper->identity->home, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	r = fd < 0 ? -errno : 0;
	identity_give_back();
	if (r < 0)
		return r;
	question.fd = fd;
	r = -pthread_create(&thread, NULL, ask, &question);
	if (r < 0)
		return r;
	(void)pthread_join(thread, NULL);
	r = question.r;
	if (r == -ENOENT) /* XFS: it owns nothing there */
		r = 0;
	if (r < 0)
		return r;
	ret->bytes = quota->dqb_curspace;
	ret->bytes_limit = quota->dqb_bhardlimit ? quota->dqb_bhardlimit * 1024 : LEAF_UNLIMITED;
	ret->files = quota->dqb_curinodes;
	ret->files_limit = quota->dqb_ihardlimit ? quota->dqb_ihardlimit : LEAF_UNLIMITED;
	return 0;
}

int keeper_transfer(const Keeper *keeper, uint64_t *ret_sent, uint64_t *ret_received)
{
	char month[TRANSFER_MONTH_SIZE];
	Transfer transfer;
	int r;

	r = transfer_read("", keeper->uid, &transfer);
	if (r < 0 && r != -ENOENT)
		return r;
	transfer_month(time(NULL), month);
	/* nothing was counted yet in this month, or ever */
	if (r == -ENOENT || strcmp(transfer.month, month) != 0)
		transfer.sent = transfer.received = 0;
	*ret_sent = transfer.sent;
	*ret_received = transfer.received;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* Another view of the machine: namespaces and mounts. */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static int try_unshare(int flag)
{
	return TRY(unshare(flag));
}

#define UNSHARE(NAME, FLAG)                     \
	static int NAME(const Targets *targets) \
	{                                       \
		return try_unshare(FLAG);       \
	}

UNSHARE(unshare_user, CLONE_NEWUSER)
UNSHARE(unshare_mount, CLONE_NEWNS)
UNSHARE(unshare_pid, CLONE_NEWPID)
UNSHARE(unshare_net, CLONE_NEWNET)
UNSHARE(unshare_ipc, CLONE_NEWIPC)
UNSHARE(unshare_uts, CLONE_NEWUTS)
UNSHARE(unshare_cgroup, CLONE_NEWCGROUP)
UNSHARE(unshare_time, 0x80 /* CLONE_NEWTIME */)
UNSHARE(unshare_user_mount, CLONE_NEWUSER | CLONE_NEWNS)

/* A child that was made ends at once. */
static int reap(long pid)
{
	if (pid < 0)
		return -errno;
	if (pid == 0)
		_exit(0);
	(void)waitpid((pid_t)pid, NULL, 0);
	return 0;
}

static int clone_user(const Targets *targets)
{
	return reap(syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0));
}

static int clone_net(const Targets *targets)
{
	return reap(syscall(SYS_clone, CLONE_NEWUSER | CLONE_NEWNET | SIGCHLD, 0, 0, 0, 0));
}

static int clone3_user(const Targets *targets)
{
	struct clone_args arguments = { .flags = CLONE_NEWUSER, .exit_signal = SIGCHLD };

	return reap(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

static int clone3_plain(const Targets *targets)
{
	struct clone_args arguments = { .exit_signal = SIGCHLD };

	return reap(syscall(SYS_clone3, &arguments, sizeof(arguments)));
}

static int join_of(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : TRY(setns(fd, 0));
}

static int join_first(const Targets *targets)
{
	return join_of("/proc/1/ns/mnt");
}

static int join_own(const Targets *targets)
{
	return join_of("/proc/self/ns/uts");
}

static int mount_tmpfs(const Targets *targets)
{
	return TRY(mount("none", "/tmp", "tmpfs", 0, NULL));
}

static int mount_bind(const Targets *targets)
{
	return TRY(mount("/tmp", "/tmp", NULL, MS_BIND, NULL));
}

static int unmount(const Targets *targets)
{
	return TRY(umount2("/proc", MNT_DETACH));
}

static int change_root(const Targets *targets)
{
	return TRY(chroot("/"));
}

static int pivot(const Targets *targets)
{
	return TRY(syscall(SYS_pivot_root, "/", "/"));
}

static int open_fs(const Targets *targets)
{
	return TRY(syscall(SYS_fsopen, "tmpfs", 0U));
}

static int clone_tree(const Targets *targets)
{
	return TRY(syscall(SYS_open_tree, AT_FDCWD, "/tmp", 1U /* OPEN_TREE_CLONE */));
}

static int set_mount(const Targets *targets)
{
	struct {
		unsigned long long set, clear, propagation, user;
	} change = { .clear = 0 };

	return TRY(syscall(SYS_mount_setattr, AT_FDCWD, "/", 0U, &change, sizeof(change)));
}

const Act acts_namespaces[] = {
	{ "unshare-user", FORBIDDEN, { EPERM }, unshare_user,
		"a user namespace is a root of its own over kernel code" },
	{ "unshare-user-mount", FORBIDDEN, { EPERM }, unshare_user_mount, "what follows from a user namespace" },
	{ "unshare-mount", FORBIDDEN, { EPERM }, unshare_mount, "paths mean the same to all" },
	{ "unshare-pid", FORBIDDEN, { EPERM }, unshare_pid, "processes are seen and counted by all" },
	{ "unshare-net", FORBIDDEN, { EPERM }, unshare_net, "the firewall is the machine's" },
	{ "unshare-ipc", FORBIDDEN, { EPERM }, unshare_ipc, "no namespaces" },
	{ "unshare-uts", FORBIDDEN, { EPERM }, unshare_uts, "no namespaces" },
	{ "unshare-cgroup", FORBIDDEN, { EPERM }, unshare_cgroup, "no namespaces" },
	{ "unshare-time", FORBIDDEN, { EPERM }, unshare_time, "no namespaces" },
	{ "clone-user", FORBIDDEN, { EPERM }, clone_user, "clone's flags are judged as unshare's" },
	{ "clone-user-net", FORBIDDEN, { EPERM }, clone_net, "clone's flags are judged as unshare's" },
	{ "clone3-user", FORBIDDEN, { ENOSYS }, clone3_user, "its flags cannot be judged, so it is not there" },
	{ "clone3", FORBIDDEN, { ENOSYS }, clone3_plain, "ENOSYS makes libc fall back to clone" },
	{ "join-first", FORBIDDEN, { EPERM, EACCES, ENOENT }, join_first, "no namespaces of others" },
	{ "join-own", FORBIDDEN, { EPERM }, join_own, "no namespaces" },
	{ "mount-tmpfs", FORBIDDEN, { EPERM }, mount_tmpfs, "no mounts" },
	{ "mount-bind", FORBIDDEN, { EPERM }, mount_bind, "no mounts" },
	{ "unmount", FORBIDDEN, { EPERM }, unmount, "no mounts" },
	{ "mount-new-api", FORBIDDEN, { EPERM }, open_fs, "no mounts" },
	{ "mount-clone-tree", FORBIDDEN, { EPERM }, clone_tree, "no mounts" },
	{ "mount-setattr", FORBIDDEN, { EPERM }, set_mount, "no mounts" },
	{ "chroot", FORBIDDEN, { EPERM }, change_root, "paths mean the same to all" },
	{ "pivot-root", FORBIDDEN, { EPERM }, pivot, "paths mean the same to all" },
	{ NULL },
};

/* SPDX-License-Identifier: MIT */
/*
 * The worker parses what strangers send. The table below is what libssh, OpenSSL and glibc's malloc were seen to use
 * for a connection's whole life, and nothing that opens, connects, creates a process or maps code.
 * Landlock and the resource limits say the same once more, should the filter have a hole.
 */
#include "sshd-sub/sandbox.h"
#include "shell/confine/filter.h"

#include <asm/termbits.h>
#include <asm/ioctls.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>

static const FilterRow rows[] = {
	FILTER_ALLOW(poll, "the loop, and libssh's"),
	FILTER_ALLOW(read, "output of processes"),
	FILTER_ALLOW(write, "input of processes"),
	FILTER_ALLOW(recvfrom, "libssh reads the connection"),
	FILTER_ALLOW(sendto, "libssh writes the connection"),
	FILTER_ALLOW(recvmsg, "link: answers, descriptors of processes"),
	FILTER_ALLOW(sendmsg, "link: requests"),
	FILTER_ALLOW(close, "descriptors of processes that ended"),
	FILTER_ALLOW(shutdown, "libssh closes the connection"),
	FILTER_ALLOW(fcntl, "libssh and we: O_NONBLOCK?", FILTER_EQUAL(1, F_GETFL)),
	FILTER_ALLOW(fcntl, "O_NONBLOCK on descriptors of processes", FILTER_EQUAL(1, F_SETFL)),
	FILTER_ALLOW(ioctl, "window size of a pty", FILTER_EQUAL(1, TIOCSWINSZ)),
	FILTER_ALLOW(
		setsockopt, "immediate ACKs until login", FILTER_EQUAL(1, IPPROTO_TCP), FILTER_EQUAL(2, TCP_QUICKACK)),
	FILTER_ALLOW(
		setsockopt, "one segment for many packets", FILTER_EQUAL(1, IPPROTO_TCP), FILTER_EQUAL(2, TCP_CORK)),
	FILTER_ALLOW(prctl, "a spare gets its proper name", FILTER_EQUAL(0, PR_SET_NAME)),
	FILTER_ALLOW(getsockopt, "how far the client is", FILTER_EQUAL(1, IPPROTO_TCP), FILTER_EQUAL(2, TCP_INFO)),
	FILTER_ALLOW(getpid, "OpenSSL's generator asks whether it was forked"),
	FILTER_ALLOW(getrandom, "OpenSSL's generator"),
	FILTER_ALLOW(brk, "malloc"),
	FILTER_ALLOW(mmap, "malloc; no code", FILTER_WITHOUT(2, PROT_EXEC)),
	FILTER_ALLOW(mprotect, "malloc; no code", FILTER_WITHOUT(2, PROT_EXEC)),
	FILTER_ALLOW(munmap, "malloc"),
	FILTER_ALLOW(mremap, "realloc"),
	FILTER_ALLOW(madvise, "malloc"),
	FILTER_ALLOW(futex, "locks of OpenSSL"),
	FILTER_ALLOW(clock_gettime, "deadlines, where the vDSO has no clock"),
	FILTER_ALLOW(gettimeofday, "libssh's and OpenSSL's clocks, likewise"),
	FILTER_ALLOW(time, "likewise"),
	FILTER_ALLOW(rt_sigprocmask, "abort()"),
	FILTER_ALLOW(restart_syscall, "a poll that was stopped and continued"),
	FILTER_ALLOW(exit_group, "the end"),
};

#define LANDLOCK_RIGHTS_ABI_1 ((UINT64_C(1) << 13) - 1)

static Filter filter;

/* All rights on files that ABI 1 to 3 know, granted nowhere. Newer rights concern what seccomp refuses anyway. */
static int landlock_prepare(void)
{
	struct {
		uint64_t handled_access_fs;
	} attributes = { LANDLOCK_RIGHTS_ABI_1 };
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, 1 /* LANDLOCK_CREATE_RULESET_VERSION */);

	if (abi < 1)
		return -EBADF;
	if (abi >= 2)
		attributes.handled_access_fs |= UINT64_C(1) << 13; /* REFER */
	if (abi >= 3)
		attributes.handled_access_fs |= UINT64_C(1) << 14; /* TRUNCATE */
	return (int)syscall(SYS_landlock_create_ruleset, &attributes, sizeof(attributes), 0);
}

int sandbox_prepare(int *ret_landlock_fd)
{
	struct rlimit none = { 0, 0 };
	int r;

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	r = filter_prepare(rows, ELEMENTSOF(rows), &filter);
	if (r < 0)
		return r;
	*ret_landlock_fd = landlock_prepare();
	return 0;
}

/* What is not dumpable belongs to root in /proc, so for a moment we are: nothing has come from outside yet. */
static int expendable(void)
{
	_cleanup_close_ int fd = -EBADF;
	int r = 0;

	if (prctl(PR_SET_DUMPABLE, 1, 0, 0, 0) < 0)
		return -errno;
	fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, SANDBOX_OOM_SCORE, sizeof(SANDBOX_OOM_SCORE) - 1) < 0)
		r = -errno;
	if (prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0)
		return -errno;
	return r;
}

#ifdef CREEL_ADDRESS_SANITIZER
/* The sanitizer maps terabytes, and a fault's report opens /proc: its builds are for tests, and say so when they start. */
int sandbox_apply(int landlock_fd)
{
	fd_close(landlock_fd);
	return expendable();
}
#else
int sandbox_apply(int landlock_fd)
{
	struct rlimit none = { 0, 0 };
	struct rlimit memory = { SANDBOX_MEMORY_MAX, SANDBOX_MEMORY_MAX };
	struct rlimit fds = { SANDBOX_FDS_MAX, SANDBOX_FDS_MAX };
	int r = expendable();

	if (r < 0)
		return r;
	if (setrlimit(RLIMIT_AS, &memory) < 0 || setrlimit(RLIMIT_NOFILE, &fds) < 0)
		return -errno;
	if (setrlimit(RLIMIT_FSIZE, &none) < 0 || setrlimit(RLIMIT_NPROC, &none) < 0)
		return -errno;
	if (landlock_fd >= 0) {
		if (syscall(SYS_landlock_restrict_self, landlock_fd, 0) < 0)
			return -errno;
		(void)close(landlock_fd);
	}
	return filter_apply(&filter);
}
#endif

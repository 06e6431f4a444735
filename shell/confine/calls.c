/* SPDX-License-Identifier: MIT */
/*
 * What agents' processes may ask of the kernel.
 *
 * Sources, looked at side by side: docker's default profile (moby, profiles/seccomp/default_linux.go, as of 2023, and its
 * later removal of io_uring; it allows openat2, fanotify_mark and modify_ldt besides), and systemd 252's sets (systemd-analyze
 * syscall-filter): @system-service with @debug, and what RestrictSUIDSGID=, RestrictNamespaces=, RestrictAddressFamilies= and
 * LockPersonality= add. Where they differ, the comment says whom we follow; tests/vm/test_calls.py compares with systemd's.
 *
 * A list of what is allowed; all else is refused:
 *   EPERM   calls that a kernel of the table's time has and the table does not name - privileged ones, and those whose
 *           history of faults outweighs their use here. Programs understand "not permitted".
 *   ENOSYS  calls that are newer than the table, as runc does for docker: libc and runtimes try new calls first and go on
 *           with old ones only after this error. The same for clone3 and openat2, whose arguments are behind a pointer,
 *           where a filter cannot look: libc falls back to clone and openat, whose arguments can be judged.
 *   others  where programs probe for a feature by its proper error: families and protocols of sockets.
 * With [calls] action = kill, what is not named and what is FORBIDden ends the process instead. What programs try and do
 * without - namespaces, devices, bpf, umount, raw sockets, newer calls - stays an error.
 * 32-bit (int 0x80) and x32 calls are refused whole: their numbers mean other calls, and nothing of Debian needs them.
 */
#include "shell/confine/calls.h"
#include "shell/confine/missing.h"

#include <asm/ioctls.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* the newest call that this table judges; Linux 6.13 */
#define NEWEST_CALL SYS_removexattrat

#define CLONE_NEWTIME_BIT 0x80 /* <linux/sched.h>: of unshare(2) only; in clone(2) these bits are the signal */
#define NEW_NAMESPACES \
	(CLONE_NEWNS | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWCGROUP)
#define SET_ID_BITS (S_ISUID | S_ISGID)
#define MAKES_FILE (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))
#define FORBIDDEN SECCOMP_RET_KILL_PROCESS
#define TYPE_BITS 0xf /* of socket(2)'s type: without SOCK_NONBLOCK and SOCK_CLOEXEC */

/* What no honest program tries: as a call that the table does not name. */
#define FORBID(call, why, ...) FILTER_ROW(call, why, FORBIDDEN, __VA_ARGS__)
#define NO_SET_ID(call, index)                                                              \
	FILTER_ALLOW(call, "no setuid or setgid file is made: nobody may become the agent", \
		FILTER_WITHOUT(index, SET_ID_BITS))
#define NODE(call, index, type) \
	FILTER_ALLOW(call, "files, pipes, sockets; no device", FILTER_BITS(index, S_IFMT | SET_ID_BITS, type))
#define NODES(call, index) \
	NODE(call, index, 0), NODE(call, index, S_IFREG), NODE(call, index, S_IFIFO), NODE(call, index, S_IFSOCK)
#define INTERNET(family, type, protocol)                                                                 \
	FILTER_ALLOW(socket, "TCP, UDP, ping", FILTER_EQUAL(0, family), FILTER_BITS(1, TYPE_BITS, type), \
		FILTER_EQUAL(2, protocol))

/* Judged by their arguments, and calls with an answer of their own. */
static const FilterRow judged[] = {
	FILTER_ALLOW(openat, "what exists", FILTER_WITHOUT(2, MAKES_FILE)),
	NO_SET_ID(openat, 3),
	FILTER_ALLOW(open, "what exists", FILTER_WITHOUT(1, MAKES_FILE)),
	NO_SET_ID(open, 2),
	FILTER_REFUSE(openat2, ENOSYS, "its mode is behind a pointer"),
	NO_SET_ID(creat, 1),
	NO_SET_ID(chmod, 1),
	NO_SET_ID(fchmod, 1),
	NO_SET_ID(fchmodat, 2),
	NO_SET_ID(fchmodat2, 2),
	NODES(mknod, 1),
	NODES(mknodat, 2),
	FILTER_REFUSE(mknod, EPERM, "devices: systemd --user tries to make two, and does without"),
	FILTER_REFUSE(mknodat, EPERM, "likewise"),

	FORBID(ioctl, "types into a terminal what its owner did not", FILTER_EQUAL(1, TIOCSTI)),
	FORBID(ioctl, "likewise, by the console's selection", FILTER_EQUAL(1, TIOCLINUX)),
	FORBID(ioctl, "line disciplines are loaded as modules on demand", FILTER_EQUAL(1, TIOCSETD)),
	FILTER_ALLOW(ioctl, "the devices ask for what they need"),

	FILTER_ALLOW(clone, "processes and threads; no namespace, in which a user is root",
		FILTER_WITHOUT(0, NEW_NAMESPACES)),
	FILTER_REFUSE(clone, EPERM, "tried by systemd --user and browsers, which do without"),
	FILTER_REFUSE(clone3, ENOSYS, "its flags are behind a pointer"),
	FILTER_ALLOW(unshare, "the part of it that makes no namespace",
		FILTER_WITHOUT(0, NEW_NAMESPACES | CLONE_NEWTIME_BIT)),
	FILTER_REFUSE(unshare, EPERM, "likewise"),

	FILTER_ALLOW(socket, "this machine's services", FILTER_EQUAL(0, AF_UNIX)),
	INTERNET(AF_INET, SOCK_STREAM, 0),
	INTERNET(AF_INET, SOCK_STREAM, IPPROTO_TCP),
	INTERNET(AF_INET, SOCK_DGRAM, 0),
	INTERNET(AF_INET, SOCK_DGRAM, IPPROTO_UDP),
	INTERNET(AF_INET, SOCK_DGRAM, IPPROTO_ICMP),
	INTERNET(AF_INET6, SOCK_STREAM, 0),
	INTERNET(AF_INET6, SOCK_STREAM, IPPROTO_TCP),
	INTERNET(AF_INET6, SOCK_DGRAM, 0),
	INTERNET(AF_INET6, SOCK_DGRAM, IPPROTO_UDP),
	INTERNET(AF_INET6, SOCK_DGRAM, IPPROTO_ICMPV6),
	/* EPERM as without CAP_NET_RAW: what tries a raw socket first goes on with another kind after it */
	FILTER_REFUSE(socket, EPERM, "raw packets", FILTER_EQUAL(0, AF_INET), FILTER_BITS(1, TYPE_BITS, SOCK_RAW)),
	FILTER_REFUSE(socket, EPERM, "raw packets", FILTER_EQUAL(0, AF_INET6), FILTER_BITS(1, TYPE_BITS, SOCK_RAW)),
	FILTER_REFUSE(socket, EPROTONOSUPPORT, "SCTP, DCCP, MPTCP: port and network rules do not know them",
		FILTER_EQUAL(0, AF_INET)),
	FILTER_REFUSE(socket, EPROTONOSUPPORT, "likewise", FILTER_EQUAL(0, AF_INET6)),
	FILTER_ALLOW(socket, "addresses and routes: getaddrinfo(3), ip(8)", FILTER_EQUAL(0, AF_NETLINK),
		FILTER_EQUAL(2, NETLINK_ROUTE)),
	FILTER_ALLOW(socket, "one's sockets: ss(8)", FILTER_EQUAL(0, AF_NETLINK), FILTER_EQUAL(2, NETLINK_SOCK_DIAG)),
	FILTER_ALLOW(socket, "devices that come and go: systemd --user, libudev", FILTER_EQUAL(0, AF_NETLINK),
		FILTER_EQUAL(2, NETLINK_KOBJECT_UEVENT)),
	FILTER_REFUSE(socket, EPROTONOSUPPORT, "other parts of netlink", FILTER_EQUAL(0, AF_NETLINK)),
	FILTER_REFUSE(socket, EAFNOSUPPORT, "packets, vsock, keys, crypto, bluetooth, can, xdp ..."),
	FILTER_ALLOW(socketpair, "pipes both ways", FILTER_EQUAL(0, AF_UNIX)),
	FILTER_REFUSE(socketpair, EAFNOSUPPORT, "likewise"),

	FILTER_REFUSE(bpf, EPERM, "systemd --user asks whether it may, and does without"),
	FILTER_REFUSE(umount2, EPERM, "systemd --user tries it for credentials when a service ends"),
	FILTER_ALLOW(personality, "Linux", FILTER_EQUAL(0, PER_LINUX)),
	FILTER_ALLOW(personality, "which one is it?", FILTER_EQUAL(0, UINT32_MAX)),
	FILTER_ALLOW(personality, "gdb: addresses that are the same each time", FILTER_EQUAL(0, ADDR_NO_RANDOMIZE)),
	FORBID(prctl, "forges what /proc shows of a process", FILTER_EQUAL(0, PR_SET_MM)),
	FILTER_ALLOW(prctl, "one's own name, signals, dumps, filters; the rest needs capabilities"),
};

typedef struct CallGroup {
	const char *why;
	const int *calls;
	size_t n;
} CallGroup;

#define GROUP(reason, ...)                                              \
	{                                                               \
		.why = (reason), .calls = (const int[]){ __VA_ARGS__ }, \
		.n = ELEMENTSOF(((const int[]){ __VA_ARGS__ }))         \
	}

/* Allowed whatever their arguments: the kernel asks for the rights that they need. */
static const CallGroup groups[] = {
	GROUP("read and write what is open", SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_pread64, SYS_pwrite64,
		SYS_preadv, SYS_pwritev, SYS_preadv2, SYS_pwritev2, SYS_lseek, SYS_close, SYS_close_range, SYS_dup,
		SYS_dup2, SYS_dup3, SYS_fcntl, SYS_sendfile, SYS_splice, SYS_tee, SYS_vmsplice, SYS_copy_file_range,
		SYS_readahead, SYS_fadvise64, SYS_fsync, SYS_fdatasync, SYS_sync_file_range, SYS_sync, SYS_syncfs,
		SYS_ftruncate, SYS_fallocate, SYS_flock, SYS_pipe, SYS_pipe2, SYS_cachestat),
	GROUP("wait for something", SYS_poll, SYS_ppoll, SYS_select, SYS_pselect6, SYS_epoll_create, SYS_epoll_create1,
		SYS_epoll_ctl, SYS_epoll_wait, SYS_epoll_pwait, SYS_epoll_pwait2, SYS_eventfd, SYS_eventfd2,
		SYS_signalfd, SYS_signalfd4, SYS_inotify_init, SYS_inotify_init1, SYS_inotify_add_watch,
		SYS_inotify_rm_watch),
	GROUP("memory", SYS_brk, SYS_mmap, SYS_munmap, SYS_mremap, SYS_mprotect, SYS_madvise, SYS_mincore, SYS_msync,
		SYS_mlock, SYS_mlock2, SYS_mlockall, SYS_munlock, SYS_munlockall, SYS_memfd_create, SYS_memfd_secret,
		SYS_remap_file_pages, SYS_pkey_alloc, SYS_pkey_free, SYS_pkey_mprotect, SYS_membarrier, SYS_mseal,
		SYS_map_shadow_stack, SYS_process_madvise, SYS_process_mrelease),
	/* systemd's @resources; docker asks for CAP_SYS_NICE, and numpy complains then */
	GROUP("where memory lies on large machines", SYS_get_mempolicy, SYS_set_mempolicy, SYS_mbind,
		SYS_set_mempolicy_home_node),
	GROUP("look at files", SYS_stat, SYS_fstat, SYS_lstat, SYS_newfstatat, SYS_statx, SYS_statfs, SYS_fstatfs,
		SYS_access, SYS_faccessat, SYS_faccessat2, SYS_readlink, SYS_readlinkat, SYS_getdents, SYS_getdents64,
		SYS_getxattr, SYS_lgetxattr, SYS_fgetxattr, SYS_getxattrat, SYS_listxattr, SYS_llistxattr,
		SYS_flistxattr, SYS_listxattrat, SYS_getcwd, SYS_chdir, SYS_fchdir, SYS_name_to_handle_at,
		SYS_statmount, SYS_listmount),
	GROUP("change files and folders", SYS_mkdir, SYS_mkdirat, SYS_rmdir, SYS_unlink, SYS_unlinkat, SYS_rename,
		SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat, SYS_symlink, SYS_symlinkat, SYS_truncate, SYS_umask,
		SYS_utime, SYS_utimes, SYS_utimensat, SYS_futimesat, SYS_setxattr, SYS_lsetxattr, SYS_fsetxattr,
		SYS_setxattrat, SYS_removexattr, SYS_lremovexattr, SYS_fremovexattr, SYS_removexattrat, SYS_chown,
		SYS_lchown, SYS_fchown, SYS_fchownat),
	GROUP("asynchronous input and output of old", SYS_io_setup, SYS_io_submit, SYS_io_getevents, SYS_io_pgetevents,
		SYS_io_cancel, SYS_io_destroy),
	GROUP("use sockets", SYS_bind, SYS_connect, SYS_listen, SYS_accept, SYS_accept4, SYS_getsockname,
		SYS_getpeername, SYS_getsockopt, SYS_setsockopt, SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg,
		SYS_sendmmsg, SYS_recvmmsg, SYS_shutdown),
	GROUP("processes and threads", SYS_fork, SYS_vfork, SYS_execve, SYS_execveat, SYS_exit, SYS_exit_group,
		SYS_wait4, SYS_waitid, SYS_kill, SYS_tkill, SYS_tgkill, SYS_pidfd_open, SYS_pidfd_send_signal,
		SYS_pidfd_getfd, SYS_getpid, SYS_getppid, SYS_gettid, SYS_setsid, SYS_getsid, SYS_setpgid, SYS_getpgid,
		SYS_getpgrp, SYS_set_tid_address, SYS_set_robust_list, SYS_get_robust_list, SYS_rseq, SYS_arch_prctl,
		SYS_set_thread_area, SYS_get_thread_area, SYS_futex, SYS_futex_waitv, SYS_futex_wake, SYS_futex_wait,
		SYS_futex_requeue, SYS_restart_syscall, SYS_getcpu),
	GROUP("signals", SYS_rt_sigaction, SYS_rt_sigprocmask, SYS_rt_sigpending, SYS_rt_sigsuspend,
		SYS_rt_sigtimedwait, SYS_rt_sigqueueinfo, SYS_rt_tgsigqueueinfo, SYS_rt_sigreturn, SYS_sigaltstack,
		SYS_pause),
	/* systemd --user and every unit set these; what an agent has not, the kernel does not give */
	GROUP("identities and capabilities", SYS_getuid, SYS_geteuid, SYS_getgid, SYS_getegid, SYS_getresuid,
		SYS_getresgid, SYS_getgroups, SYS_setuid, SYS_setgid, SYS_setreuid, SYS_setregid, SYS_setresuid,
		SYS_setresgid, SYS_setfsuid, SYS_setfsgid, SYS_setgroups, SYS_capget, SYS_capset),
	GROUP("limits and priorities", SYS_getrlimit, SYS_setrlimit, SYS_prlimit64, SYS_getrusage, SYS_times,
		SYS_sysinfo, SYS_getpriority, SYS_setpriority, SYS_ioprio_get, SYS_ioprio_set, SYS_sched_yield,
		SYS_sched_getaffinity, SYS_sched_setaffinity, SYS_sched_getattr, SYS_sched_setattr, SYS_sched_getparam,
		SYS_sched_setparam, SYS_sched_getscheduler, SYS_sched_setscheduler, SYS_sched_get_priority_max,
		SYS_sched_get_priority_min, SYS_sched_rr_get_interval),
	/* docker allows adjtimex(2) as well: to read the clock's state; setting it needs CAP_SYS_TIME */
	GROUP("time", SYS_time, SYS_gettimeofday, SYS_clock_gettime, SYS_clock_getres, SYS_clock_nanosleep,
		SYS_nanosleep, SYS_alarm, SYS_getitimer, SYS_setitimer, SYS_timer_create, SYS_timer_delete,
		SYS_timer_getoverrun, SYS_timer_gettime, SYS_timer_settime, SYS_timerfd_create, SYS_timerfd_gettime,
		SYS_timerfd_settime, SYS_adjtimex, SYS_clock_adjtime),
	GROUP("messages, semaphores, shared memory", SYS_shmget, SYS_shmat, SYS_shmctl, SYS_shmdt, SYS_semget,
		SYS_semop, SYS_semctl, SYS_semtimedop, SYS_msgget, SYS_msgsnd, SYS_msgrcv, SYS_msgctl, SYS_mq_open,
		SYS_mq_unlink, SYS_mq_timedsend, SYS_mq_timedreceive, SYS_mq_notify, SYS_mq_getsetattr),
	/* yama and Landlock say whose: one's own descendants, within one login or service */
	GROUP("debuggers: gdb, strace", SYS_ptrace, SYS_process_vm_readv, SYS_process_vm_writev, SYS_kcmp),
	GROUP("confine oneself further", SYS_seccomp, SYS_landlock_create_ruleset, SYS_landlock_add_rule,
		SYS_landlock_restrict_self, SYS_lsm_get_self_attr, SYS_lsm_list_modules),
	GROUP("the rest", SYS_uname, SYS_getrandom),
};

/*
 * Not above, and so EPERM. systemd's @mount @module @swap @reboot @raw-io @clock @cpu-emulation @obsolete @keyring;
 * chroot, setns, quotactl, acct, syslog, vhangup, sethostname, setdomainname: they need capabilities that no agent has.
 * bpf, perf_event_open, userfaultfd, io_uring_*, fanotify_init, keyctl, add_key, request_key, modify_ldt, migrate_pages,
 * move_pages: they have given the kernel's faults away too often, or look at others. open_by_handle_at: around paths; making
 * such a handle is harmless, and systemd --user does for each cgroup. lsm_set_self_attr: changes who one is to other
 * security modules.
 */

static const FilterRow no_memory_files[] = {
	FILTER_REFUSE(memfd_create, EPERM, "its content can be executed, and has no path that a rule could name"),
	FILTER_REFUSE(memfd_secret, EPERM, "likewise"),
};

static size_t put_rows(FilterRow *rows, size_t n, const FilterRow *more, size_t more_n)
{
	memcpy(rows + n, more, more_n * sizeof(*more));
	return n + more_n;
}

int calls_prepare(const CallsOptions *options, Filter *ret)
{
	size_t room = ELEMENTSOF(judged) + ELEMENTSOF(no_memory_files), n = 0;
	_cleanup_free_ FilterRow *rows = NULL;
	FilterTable table = {
		.otherwise = options->kill ? SECCOMP_RET_KILL_PROCESS : SECCOMP_RET_ERRNO | EPERM,
		.newest = NEWEST_CALL,
	};

	for (size_t i = 0; i < ELEMENTSOF(groups); i++)
		room += groups[i].n;
	rows = calloc(room, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	n = put_rows(rows, n, judged, ELEMENTSOF(judged));
	if (!options->memory)
		n = put_rows(rows, n, no_memory_files, ELEMENTSOF(no_memory_files));
	for (size_t i = 0; i < ELEMENTSOF(groups); i++)
		for (size_t k = 0; k < groups[i].n; k++)
			rows[n++] = (FilterRow){
				.call = groups[i].calls[k],
				.why = groups[i].why,
				.action = SECCOMP_RET_ALLOW,
			};
	for (size_t i = 0; i < n; i++)
		if (rows[i].action == FORBIDDEN)
			rows[i].action = table.otherwise;
	table.rows = rows;
	table.n = n;
	return filter_compile(&table, ret);
}

/* SPDX-License-Identifier: MIT */
/*
 * The agents' table of system calls: what each row says, read by running the compiled program here as the kernel does, and
 * the rows with conditions once more in a process that the kernel holds to it.
 */
#include "tests/unit/unit.h"

#include "shell/confine/calls.h"
#include "shell/confine/missing.h"

#include <asm/ioctls.h>
#include <asm/unistd.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#define ALLOWED 0
#define HIGH_BITS (UINT64_C(0xdeadbeef) << 32) /* that the kernel does not look at */

/* The part of classic BPF that filters are made of. */
static uint32_t judge(const Filter *filter, const struct seccomp_data *data)
{
	uint32_t a = 0;

	for (size_t i = 0; i < filter->n; i++) {
		const struct sock_filter *op = &filter->program[i];
		bool truth;

		switch (op->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			assert_true(op->k + sizeof(a) <= sizeof(*data));
			memcpy(&a, (const char *)data + op->k, sizeof(a));
			continue;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= op->k;
			continue;
		case BPF_JMP | BPF_JA:
			i += op->k;
			continue;
		case BPF_RET | BPF_K:
			return op->k;
		case BPF_JMP | BPF_JEQ | BPF_K:
			truth = a == op->k;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			truth = a >= op->k;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			truth = a > op->k;
			break;
		default:
			fail_msg("unexpected instruction %#x", op->code);
			return 0;
		}
		i += truth ? op->jt : op->jf;
	}
	fail_msg("the program has no end");
	return 0;
}

typedef struct Row {
	int call;
	int error; /* ALLOWED, or an errno */
	uint64_t arguments[4];
} Row;

#define AT AT_FDCWD
#define CLONE_PLAIN (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM | CLONE_SETTLS)

/* Each permission beside its refusal. */
static const Row rows[] = {
	{ SYS_read, ALLOWED, { 0 } },
	{ SYS_execve, ALLOWED, { 0 } },
	{ SYS_ptrace, ALLOWED, { 0 } },
	{ SYS_seccomp, ALLOWED, { 0 } },
	{ SYS_landlock_restrict_self, ALLOWED, { 0 } },
	{ SYS_openat, ALLOWED, { 0, 0, O_RDONLY, 06777 } }, /* no mode without O_CREAT */
	{ SYS_openat, ALLOWED, { 0, 0, O_CREAT | O_WRONLY, 01777 } },
	{ SYS_openat, EPERM, { 0, 0, O_CREAT | O_WRONLY, 04755 } },
	{ SYS_openat, EPERM, { 0, 0, O_CREAT, 02755 } },
	{ SYS_openat, ALLOWED, { 0, 0, O_TMPFILE | O_RDWR, 0600 } },
	{ SYS_openat, EPERM, { 0, 0, O_TMPFILE | O_RDWR, 04600 } },
	{ SYS_openat, EPERM, { 0, 0, HIGH_BITS | O_CREAT, HIGH_BITS | 04755 } },
	{ SYS_open, ALLOWED, { 0, O_DIRECTORY, 06777 } },
	{ SYS_open, ALLOWED, { 0, O_CREAT, 0755 } },
	{ SYS_open, EPERM, { 0, O_CREAT, 04755 } },
	{ SYS_openat2, ENOSYS, { 0 } },
	{ SYS_creat, ALLOWED, { 0, 0755 } },
	{ SYS_creat, EPERM, { 0, 02755 } },
	{ SYS_chmod, ALLOWED, { 0, 01777 } },
	{ SYS_chmod, EPERM, { 0, 04755 } },
	{ SYS_fchmod, ALLOWED, { 3, 0755 } },
	{ SYS_fchmod, EPERM, { 3, 02755 } },
	{ SYS_fchmodat, ALLOWED, { 3, 0, 0755 } },
	{ SYS_fchmodat, EPERM, { 3, 0, 04755 } },
	{ SYS_fchmodat2, ALLOWED, { 3, 0, 0755 } },
	{ SYS_fchmodat2, EPERM, { 3, 0, 06755 } },
	{ SYS_mknod, ALLOWED, { 0, 0644 } },
	{ SYS_mknod, ALLOWED, { 0, S_IFIFO | 0644 } },
	{ SYS_mknod, EPERM, { 0, S_IFREG | 04755 } },
	{ SYS_mknod, EPERM, { 0, S_IFCHR | 0644 } },
	{ SYS_mknodat, ALLOWED, { 3, 0, S_IFSOCK | 0644 } },
	{ SYS_mknodat, EPERM, { 3, 0, S_IFBLK | 0644 } },
	{ SYS_ioctl, ALLOWED, { 0, TCGETS } },
	{ SYS_ioctl, ALLOWED, { 0, TIOCSCTTY } },
	{ SYS_ioctl, EPERM, { 0, TIOCSTI } },
	{ SYS_ioctl, EPERM, { 0, HIGH_BITS | TIOCSTI } },
	{ SYS_ioctl, EPERM, { 0, TIOCLINUX } },
	{ SYS_ioctl, EPERM, { 0, TIOCSETD } },
	{ SYS_clone, ALLOWED, { SIGCHLD } },
	{ SYS_clone, ALLOWED, { CLONE_PLAIN } },
	{ SYS_clone, EPERM, { CLONE_NEWUSER | SIGCHLD } },
	{ SYS_clone, EPERM, { CLONE_NEWNS | SIGCHLD } },
	{ SYS_clone, EPERM, { CLONE_NEWPID } },
	{ SYS_clone, EPERM, { CLONE_NEWNET } },
	{ SYS_clone, EPERM, { CLONE_NEWIPC } },
	{ SYS_clone, EPERM, { CLONE_NEWUTS } },
	{ SYS_clone, EPERM, { CLONE_NEWCGROUP } },
	{ SYS_clone3, ENOSYS, { 0 } },
	{ SYS_unshare, ALLOWED, { CLONE_FS | CLONE_FILES } },
	{ SYS_unshare, EPERM, { CLONE_NEWUSER } },
	{ SYS_unshare, EPERM, { 0x80 } }, /* CLONE_NEWTIME */
	{ SYS_setns, EPERM, { 0 } },
	{ SYS_socket, ALLOWED, { AF_UNIX, SOCK_SEQPACKET } },
	{ SYS_socket, ALLOWED, { AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK } },
	{ SYS_socket, ALLOWED, { AF_INET6, SOCK_DGRAM, IPPROTO_UDP } },
	{ SYS_socket, ALLOWED, { AF_INET, SOCK_DGRAM, IPPROTO_ICMP } },
	{ SYS_socket, EPERM, { AF_INET, SOCK_RAW, IPPROTO_ICMP } },
	{ SYS_socket, EPERM, { AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW } },
	{ SYS_socket, EPROTONOSUPPORT, { AF_INET, SOCK_STREAM, IPPROTO_SCTP } },
	{ SYS_socket, EPROTONOSUPPORT, { AF_INET6, SOCK_STREAM, IPPROTO_MPTCP } },
	{ SYS_socket, EPROTONOSUPPORT, { AF_INET, SOCK_DCCP, IPPROTO_DCCP } },
	{ SYS_socket, ALLOWED, { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE } },
	{ SYS_socket, ALLOWED, { AF_NETLINK, SOCK_DGRAM, NETLINK_SOCK_DIAG } },
	{ SYS_socket, ALLOWED, { AF_NETLINK, SOCK_RAW, NETLINK_KOBJECT_UEVENT } },
	{ SYS_socket, EPROTONOSUPPORT, { AF_NETLINK, SOCK_RAW, NETLINK_AUDIT } },
	{ SYS_socket, EPROTONOSUPPORT, { AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER } },
	{ SYS_socket, EPROTONOSUPPORT, { AF_NETLINK, SOCK_RAW, NETLINK_XFRM } },
	{ SYS_socket, EAFNOSUPPORT, { AF_VSOCK, SOCK_STREAM } },
	{ SYS_socket, EAFNOSUPPORT, { AF_PACKET, SOCK_RAW } },
	{ SYS_socket, EAFNOSUPPORT, { AF_ALG, SOCK_SEQPACKET } },
	{ SYS_socket, EAFNOSUPPORT, { AF_KEY, SOCK_RAW } },
	{ SYS_socket, EAFNOSUPPORT, { AF_XDP, SOCK_RAW } },
	{ SYS_socket, EAFNOSUPPORT, { AF_BLUETOOTH, SOCK_RAW } },
	{ SYS_socket, EAFNOSUPPORT, { HIGH_BITS | AF_VSOCK, SOCK_STREAM } },
	{ SYS_socketpair, ALLOWED, { AF_UNIX, SOCK_STREAM } },
	{ SYS_socketpair, EAFNOSUPPORT, { AF_TIPC, SOCK_STREAM } },
	{ SYS_personality, ALLOWED, { PER_LINUX } },
	{ SYS_personality, ALLOWED, { UINT32_MAX } },
	{ SYS_personality, ALLOWED, { ADDR_NO_RANDOMIZE } },
	{ SYS_personality, EPERM, { READ_IMPLIES_EXEC } },
	{ SYS_personality, EPERM, { PER_LINUX32 } },
	{ SYS_prctl, ALLOWED, { PR_SET_NAME } },
	{ SYS_prctl, ALLOWED, { PR_SET_DUMPABLE } },
	{ SYS_prctl, EPERM, { PR_SET_MM } },
	{ SYS_memfd_create, ALLOWED, { 0 } },
	{ SYS_adjtimex, ALLOWED, { 0 } },
	{ SYS_clock_settime, EPERM, { 0 } },
	{ SYS_bpf, EPERM, { 0 } },
	{ SYS_perf_event_open, EPERM, { 0 } },
	{ SYS_userfaultfd, EPERM, { 0 } },
	{ SYS_io_uring_setup, EPERM, { 0 } },
	{ SYS_io_uring_enter, EPERM, { 0 } },
	{ SYS_io_uring_register, EPERM, { 0 } },
	{ SYS_add_key, EPERM, { 0 } },
	{ SYS_request_key, EPERM, { 0 } },
	{ SYS_keyctl, EPERM, { 0 } },
	{ SYS_mount, EPERM, { 0 } },
	{ SYS_umount2, EPERM, { 0 } },
	{ SYS_pivot_root, EPERM, { 0 } },
	{ SYS_chroot, EPERM, { 0 } },
	{ SYS_fsopen, EPERM, { 0 } },
	{ SYS_fsconfig, EPERM, { 0 } },
	{ SYS_fsmount, EPERM, { 0 } },
	{ SYS_fspick, EPERM, { 0 } },
	{ SYS_open_tree, EPERM, { 0 } },
	{ SYS_move_mount, EPERM, { 0 } },
	{ SYS_mount_setattr, EPERM, { 0 } },
	{ SYS_kexec_load, EPERM, { 0 } },
	{ SYS_kexec_file_load, EPERM, { 0 } },
	{ SYS_init_module, EPERM, { 0 } },
	{ SYS_finit_module, EPERM, { 0 } },
	{ SYS_delete_module, EPERM, { 0 } },
	{ SYS_swapon, EPERM, { 0 } },
	{ SYS_swapoff, EPERM, { 0 } },
	{ SYS_reboot, EPERM, { 0 } },
	{ SYS_quotactl, EPERM, { 0 } },
	{ SYS_quotactl_fd, EPERM, { 0 } },
	{ SYS_name_to_handle_at, ALLOWED, { 0 } },
	{ SYS_open_by_handle_at, EPERM, { 0 } },
	{ SYS_iopl, EPERM, { 0 } },
	{ SYS_ioperm, EPERM, { 0 } },
	{ SYS_modify_ldt, EPERM, { 0 } },
	{ SYS_acct, EPERM, { 0 } },
	{ SYS_syslog, EPERM, { 0 } },
	{ SYS_vhangup, EPERM, { 0 } },
	{ SYS_sethostname, EPERM, { 0 } },
	{ SYS_setdomainname, EPERM, { 0 } },
	{ SYS_settimeofday, EPERM, { 0 } },
	{ SYS_fanotify_init, EPERM, { 0 } },
	{ SYS_migrate_pages, EPERM, { 0 } },
	{ SYS_move_pages, EPERM, { 0 } },
	{ SYS_lookup_dcookie, EPERM, { 0 } },
	{ SYS_uselib, EPERM, { 0 } },
	{ SYS_lsm_set_self_attr, EPERM, { 0 } },
	{ SYS_removexattrat, ALLOWED, { 0 } },
	{ SYS_removexattrat + 1, ENOSYS, { 0 } },
	{ 4000, ENOSYS, { 0 } },
	{ SYS_getpid | __X32_SYSCALL_BIT, EPERM, { 0 } },
};

/* What programs try and do without stays an error where other calls end the process. */
static bool is_tried(int call)
{
	return call == SYS_clone || call == SYS_unshare || call == SYS_socket || call == SYS_mknod ||
	       call == SYS_mknodat || call == SYS_bpf || call == SYS_umount2;
}

static struct seccomp_data data_of(const Row *row)
{
	struct seccomp_data data = { .nr = row->call, .arch = AUDIT_ARCH_X86_64 };

	for (size_t i = 0; i < ELEMENTSOF(row->arguments); i++)
		data.args[i] = row->arguments[i];
	return data;
}

static void test_each_row(void **state)
{
	static const CallsOptions modes[] = { { .memory = true }, { .kill = true, .memory = true } };

	for (size_t mode = 0; mode < ELEMENTSOF(modes); mode++) {
		Filter filter;

		assert_int_equal(calls_prepare(&modes[mode], &filter), 0);
		for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
			struct seccomp_data data = data_of(&rows[i]);
			uint32_t expected = rows[i].error == ALLOWED ? SECCOMP_RET_ALLOW
								     : SECCOMP_RET_ERRNO | (uint32_t)rows[i].error;

			if (modes[mode].kill && rows[i].error == EPERM && !is_tried(rows[i].call))
				expected = SECCOMP_RET_KILL_PROCESS;
			if (judge(&filter, &data) != expected)
				fail_msg("row %zu (call %d): %#x, not %#x", i, rows[i].call, judge(&filter, &data),
					expected);
		}
		filter_done(&filter);
	}
}

static void test_other_architecture(void **state)
{
	const CallsOptions errors = { 0 }, kill_mode = { .kill = true };
	struct seccomp_data data = { .nr = SYS_read, .arch = AUDIT_ARCH_I386 };
	Filter filter;

	assert_int_equal(calls_prepare(&errors, &filter), 0);
	assert_int_equal(judge(&filter, &data), SECCOMP_RET_ERRNO | EPERM);
	filter_done(&filter);
	assert_int_equal(calls_prepare(&kill_mode, &filter), 0);
	assert_int_equal(judge(&filter, &data), SECCOMP_RET_KILL_PROCESS);
	/* what a tracer leaves behind when it skips a call */
	data = (struct seccomp_data){ .nr = -1, .arch = AUDIT_ARCH_X86_64 };
	assert_int_equal(judge(&filter, &data), SECCOMP_RET_ALLOW);
	filter_done(&filter);
}

static void test_files_without_names(void **state)
{
	const CallsOptions without = { .memory = false };
	const Row row = { SYS_memfd_create, EPERM, { 0 } };
	struct seccomp_data data = data_of(&row);
	Filter filter;

	assert_int_equal(calls_prepare(&without, &filter), 0);
	assert_int_equal(judge(&filter, &data), SECCOMP_RET_ERRNO | EPERM);
	filter_done(&filter);
}

/* ---- and the kernel ---- */

/* In a child, as its only act: the errno of a raw call, or ALLOWED. Calls that would change something are given nonsense. */
static int act(const Filter *filter, const Row *row)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (!pid) {
		struct rlimit none = { 0, 0 };
		long r;

		(void)setrlimit(RLIMIT_CORE, &none);
		if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || filter_apply(filter) < 0)
			_exit(255);
		r = syscall(
			row->call, row->arguments[0], row->arguments[1], row->arguments[2], row->arguments[3], 0, 0);
		(void)syscall(SYS_exit_group, r < 0 ? errno : 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}

static void test_kernel_agrees(void **state)
{
	const CallsOptions errors = { .memory = true }, kill_mode = { .kill = true, .memory = true };
	Filter filter, killer;

	assert_int_equal(calls_prepare(&errors, &filter), 0);
	assert_int_equal(calls_prepare(&kill_mode, &killer), 0);
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		if (rows[i].error == ALLOWED)
			continue;
		if (act(&filter, &rows[i]) != rows[i].error)
			fail_msg("row %zu (call %d): the kernel says %d, not %d", i, rows[i].call,
				act(&filter, &rows[i]), rows[i].error);
		if (rows[i].error == EPERM)
			assert_int_equal(act(&killer, &rows[i]), is_tried(rows[i].call) ? EPERM : -SIGSYS);
	}
	filter_done(&filter);
	filter_done(&killer);
}

static void test_needed_calls(void **state)
{
	static const Row needed[] = {
		{ SYS_socket, ALLOWED, { AF_UNIX, SOCK_STREAM } },
		{ SYS_socket, ALLOWED, { AF_INET, SOCK_STREAM } },
		{ SYS_socket, ALLOWED, { AF_NETLINK, SOCK_RAW, NETLINK_ROUTE } },
		{ SYS_personality, ALLOWED, { UINT32_MAX } },
		{ SYS_prctl, ALLOWED, { PR_SET_DUMPABLE, 1 } },
		{ SYS_unshare, ALLOWED, { CLONE_FS } },
		{ SYS_ioctl, ENOTTY, { STDIN_FILENO, 0x12345678 } },
		{ SYS_chmod, EFAULT, { 0, 0755 } },
		{ SYS_openat, EFAULT, { 0, 0, O_CREAT, 0600 } },
		{ SYS_fchmodat, EFAULT, { (uint64_t)AT, 0, 0755 } },
		{ SYS_mknodat, EFAULT, { (uint64_t)AT, 0, S_IFIFO | 0600 } },
		{ SYS_memfd_create, EFAULT, { 0 } },
		{ SYS_kill, ESRCH, { INT32_MAX } },
	};
	const CallsOptions errors = { .memory = true };
	int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	Filter filter;

	assert_true(dup2(null_fd, STDIN_FILENO) == STDIN_FILENO);
	assert_int_equal(calls_prepare(&errors, &filter), 0);
	for (size_t i = 0; i < ELEMENTSOF(needed); i++)
		if (act(&filter, &needed[i]) != needed[i].error)
			fail_msg("row %zu (call %d): the kernel says %d, not %d", i, needed[i].call,
				act(&filter, &needed[i]), needed[i].error);
	filter_done(&filter);
	assert_int_equal(close(null_fd), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_row),
		cmocka_unit_test(test_other_architecture),
		cmocka_unit_test(test_files_without_names),
		cmocka_unit_test(test_kernel_agrees),
		cmocka_unit_test(test_needed_calls),
	};

	return cmocka_run_group_tests_name("calls", tests, NULL, NULL);
}

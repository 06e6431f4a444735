/* SPDX-License-Identifier: MIT */
/* creelctl doctor: the kernel. */
#include "tests/unit/doctor.h"

#include <unistd.h>

static void test_kernel(void **state)
{
	static const struct {
		const char *id, *path, *good, *bad;
		DoctorState when_bad;
	} rows[] = {
		{ "kernel.version", "/proc/sys/kernel/osrelease", "6.1.0-18-amd64\n", "5.10.0\n", DOCTOR_MISSING },
		{ "kernel.version", "/proc/sys/kernel/osrelease", "7.0.0-rc1\n", "5.15.0\n", DOCTOR_DEGRADED },
		{ "kernel.version", "/proc/sys/kernel/osrelease", "6.18.3\n", "new\n", DOCTOR_DEGRADED },
		{ "kernel.seccomp", "/proc/sys/kernel/seccomp/actions_avail", "kill_process errno allow\n",
			"kill_thread errno allow\n", DOCTOR_MISSING },
		{ "kernel.lsm", "/sys/kernel/security/lsm", "capability,landlock,yama,bpf", "capability,landlock,yama",
			DOCTOR_MISSING },
		{ "kernel.bpf_unprivileged", "/proc/sys/kernel/unprivileged_bpf_disabled", "2\n", "0\n",
			DOCTOR_DEGRADED },
		{ "kernel.ptrace", "/proc/sys/kernel/yama/ptrace_scope", "1\n", "0\n", DOCTOR_DEGRADED },
		{ "kernel.dmesg", "/proc/sys/kernel/dmesg_restrict", "1\n", "0\n", DOCTOR_DEGRADED },
		{ "kernel.ipv6", "/proc/net/if_inet6", "00000000000000000000000000000001 01 80 10 80 lo\n", "",
			DOCTOR_DEGRADED },
	};

	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *path = path_of(rows[i].path);

		(void)unlink(path);
		assert_int_not_equal(run(rows[i].id, NULL).state, DOCTOR_OK);
		put(rows[i].path, rows[i].good, 0644);
		assert_finding(rows[i].id, NULL, DOCTOR_OK, "");
		put(rows[i].path, rows[i].bad, 0644);
		assert_finding(rows[i].id, NULL, rows[i].when_bad, "");
	}
}

static void test_controllers(void **state)
{
	assert_finding("kernel.cgroup2", NULL, DOCTOR_MISSING, "unified");
	put("/sys/fs/cgroup/cgroup.controllers", "cpuset cpu io memory pids\n", 0644);
	assert_finding("kernel.cgroup2", NULL, DOCTOR_OK, "");
	assert_finding("kernel.controllers", NULL, DOCTOR_MISSING, "subtree_control");
	put("/sys/fs/cgroup/user.slice/cgroup.subtree_control", "cpu memory pids\n", 0644);
	assert_finding("kernel.controllers", NULL, DOCTOR_MISSING, "`io`");
	put("/sys/fs/cgroup/user.slice/cgroup.subtree_control", "cpu memory pids io\n", 0644);
	assert_finding("kernel.controllers", NULL, DOCTOR_OK, "");
	/* cpuset is not cpu */
	put("/sys/fs/cgroup/cgroup.controllers", "cpuset io memory pids\n", 0644);
	assert_finding("kernel.controllers", NULL, DOCTOR_MISSING, "`cpu`");
}

static void test_user_namespaces(void **state)
{
	put("/proc/sys/user/max_user_namespaces", "1000\n", 0644);
	assert_finding("kernel.user_namespaces", NULL, DOCTOR_DEGRADED, "");
	put("/proc/sys/kernel/unprivileged_userns_clone", "1\n", 0644);
	assert_finding("kernel.user_namespaces", NULL, DOCTOR_DEGRADED, "");
	put("/proc/sys/kernel/unprivileged_userns_clone", "0\n", 0644);
	assert_finding("kernel.user_namespaces", NULL, DOCTOR_OK, "");
	put("/proc/sys/kernel/unprivileged_userns_clone", "1\n", 0644);
	put("/proc/sys/user/max_user_namespaces", "0\n", 0644);
	assert_finding("kernel.user_namespaces", NULL, DOCTOR_OK, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_kernel),
		TEST(test_controllers),
		TEST(test_user_namespaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

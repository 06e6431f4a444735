/* SPDX-License-Identifier: MIT */
/* creelctl doctor: what was meant beside what is loaded and what the kernel holds. */
#include "tests/unit/doctor.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void test_drift_units(void **state)
{
	_cleanup_free_ char *fresh = path_of("/fresh"), *loaded = path_of("/loaded");
	_cleanup_close_ int fresh_fd = -EBADF, loaded_fd = -EBADF;
	char difference[256] = "";

	for (size_t i = 0; i < 2; i++) {
		const char *side = i ? "/loaded" : "/fresh";
		static const char *const paths[] = { "user-1234.slice.d/50-creel.conf",
			"user@1234.service.d/50-creel.conf", "user-99.slice.d/50-creel.conf",
			"user.slice.d/50-creel.conf" };

		for (size_t k = 0; k < ELEMENTSOF(paths); k++) {
			_cleanup_free_ char *path = str_format("%s/%s", side, paths[k]);

			put(path, "[Slice]\nTasksMax=5\n", 0644);
		}
	}
	/* others' generators write there as well */
	put("/loaded/-.mount", "x", 0644);
	put("/loaded/user-1234.slice.d/60-other.conf", "x", 0644);
	put("/loaded/getty.target.wants/getty@1234.service", "x", 0644);
	fresh_fd = open(fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	loaded_fd = open(loaded, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fresh_fd >= 0 && loaded_fd >= 0);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, UID, difference, sizeof(difference)), 0);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, DRIFT_MACHINE, difference, sizeof(difference)), 0);

	/* one agent's difference is nobody else's */
	put("/loaded/user-99.slice.d/50-creel.conf", "[Slice]\nTasksMax=6\n", 0644);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, UID, difference, sizeof(difference)), 0);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, DRIFT_MACHINE, difference, sizeof(difference)), 0);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, 99, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "user-99.slice.d/50-creel.conf"));

	put("/fresh/user.slice.d/50-creel.conf", "", 0644);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, DRIFT_MACHINE, difference, sizeof(difference)), 1);

	/* wanted and not there; left over */
	put("/fresh/sockets.target.wants/creel-keeper@1234.socket", "x", 0644);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, UID, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "is not there"));
	put("/loaded/sockets.target.wants/creel-keeper@1234.socket", "x", 0644);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, UID, difference, sizeof(difference)), 0);
	put("/loaded/sockets.target.wants/creel-rescue@1234.service", "x", 0644);
	assert_int_equal(drift_units(fresh_fd, loaded_fd, UID, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "older policy"));
	assert_int_equal(drift_units(-EBADF, loaded_fd, UID, difference, sizeof(difference)), -EBADF);
}

static void put_cgroup(
	const char *memory, const char *swap, const char *pids, const char *cpu, const char *weight, const char *io)
{
	put("/cg/memory.max", memory, 0644);
	put("/cg/memory.swap.max", swap, 0644);
	put("/cg/pids.max", pids, 0644);
	put("/cg/cpu.max", cpu, 0644);
	put("/cg/cpu.weight", weight, 0644);
	put("/cg/io.weight", io, 0644);
}

static void assert_file(const char *path, const char *content)
{
	_cleanup_free_ char *full = path_of(path), *text = NULL;

	assert_int_equal(file_read_at(AT_FDCWD, full, 0, 256, &text, NULL), 0);
	if (strncmp(text, content, strlen(content)) != 0)
		fail_msg("%s is %s, and not %s", path, text, content);
}

/* What a daemon-reload left undone is written to each slice that runs, and to that of all. */
static void test_limits_hold(void **state)
{
	static const char all[] = "[Slice]\nMemoryMax=524288\nMemorySwapMax=0\nTasksMax=50\nCPUQuota=150.50%"
				  "\nCPUWeight=50\nIOWeight=20\n";
	_cleanup_free_ char *generated = path_of("/gen"), *slices = path_of("/slices");
	Reason reason = { "" };

	put("/gen/user.slice.d/50-creel.conf", "[Slice]\nMemoryMax=1048576\n", 0644);
	put("/gen/user-1000.slice.d/50-creel.conf", all, 0644);
	put("/gen/user-1001.slice.d/50-creel.conf", "[Slice]\nMemoryMax=4096\n", 0644); /* does not run */
	put("/gen/user-1002.slice.d/50-creel.conf", "[Slice]\nMemoryMax=infinity\nTasksMax=infinity\nCPUQuota=\n",
		0644);
	put("/gen/user-0.slice.d/other.conf", "[Slice]\nMemoryMax=4096\n", 0644);
	put("/slices/memory.max", "max\n", 0644);
	put("/slices/user-0.slice/memory.max", "max\n", 0644);
	put("/slices/user-1000.slice/memory.max", "max\n", 0644);
	put("/slices/user-1000.slice/pids.max", "51\n", 0644);
	put("/slices/user-1000.slice/cpu.max", "max 100000\n", 0644);
	put("/slices/user-1000.slice/cpu.weight", "100\n", 0644);
	put("/slices/user-1000.slice/io.weight", "default 100\n", 0644);
	put("/slices/user-1002.slice/memory.max", "4096\n", 0644);
	put("/slices/user-1002.slice/pids.max", "50\n", 0644);
	put("/slices/user-1002.slice/cpu.max", "50000 100000\n", 0644);
	/* without memory.swap.max, which is not made */
	assert_int_equal(limits_hold(generated, slices, &reason), 0);
	assert_file("/slices/memory.max", "1048576");
	assert_file("/slices/user-0.slice/memory.max", "max");
	assert_file("/slices/user-1000.slice/memory.max", "524288");
	assert_file("/slices/user-1000.slice/pids.max", "50");
	assert_file("/slices/user-1000.slice/cpu.max", "150500 100000");
	assert_file("/slices/user-1000.slice/cpu.weight", "50");
	assert_file("/slices/user-1000.slice/io.weight", "default 20");
	assert_file("/slices/user-1002.slice/memory.max", "max");
	assert_file("/slices/user-1002.slice/pids.max", "max");
	assert_file("/slices/user-1002.slice/cpu.max", "max 100000");
	assert_int_equal(limits_hold("/nonexistent", slices, &reason), 0);
	assert_int_equal(limits_hold(generated, "/nonexistent", &reason), 0);

	put("/gen/user-1000.slice.d/50-creel.conf", "[Slice]\nMemoryMax=much\n", 0644);
	assert_true(limits_hold(generated, slices, &reason) < 0);
	assert_non_null(strstr(reason.text, "limits of user-1000.slice: "));
}

static void test_drift_slice(void **state)
{
	static const char text[] =
		"# comment\n[Slice]\nMemoryAccounting=yes\nMemoryMax=infinity\nMemoryMax=1143501824\n"
		"MemorySwapMax=0\nTasksMax=50\nCPUQuota=150.50%\nCPUWeight=50\nIOWeight=100\n";
	static const char none[] = "[Slice]\nMemoryMax=infinity\nTasksMax=infinity\nCPUQuota=\n";
	_cleanup_free_ char *folder = path_of("/cg");
	_cleanup_close_ int fd = -EBADF;
	char difference[400] = "";

	put_cgroup("1143500800\n", "0\n", "50\n", "150500 100000\n", "50\n", "default 100\n8:0 50\n");
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* the last line holds, and the kernel keeps whole pages */
	assert_int_equal(drift_slice(text, fd, difference, sizeof(difference)), 0);

	put_cgroup("1143500800\n", "0\n", "51\n", "150500 100000\n", "50\n", "default 90\n");
	assert_int_equal(drift_slice(text, fd, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "pids.max is 51, the policy gives 50"));
	assert_non_null(strstr(difference, "io.weight is default 90"));
	assert_null(strstr(difference, "cpu"));

	put_cgroup("max\n", "max\n", "max\n", "max 100000\n", "100\n", "default 100\n");
	assert_int_equal(drift_slice(text, fd, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "memory.max is max"));
	assert_non_null(strstr(difference, "cpu.max is max 100000, the policy gives 150.50%"));
	assert_int_equal(drift_slice(none, fd, difference, sizeof(difference)), 0);

	{
		_cleanup_free_ char *path = path_of("/cg/pids.max");

		assert_int_equal(unlink(path), 0);
	}
	assert_int_equal(drift_slice(none, fd, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "pids.max is not there"));
	assert_int_equal(drift_slice("TasksMax=many\n", fd, difference, sizeof(difference)), -EINVAL);
	/* a short buffer is not overrun */
	assert_int_equal(drift_slice(text, fd, difference, 8), 1);
	assert_int_equal(strlen(difference), 7);
}

static void test_drift_manager(void **state)
{
	static const char text[] =
		"[Service]\nNoNewPrivileges=yes\nLimitNOFILE=16384\nLimitFSIZE=infinity\nLimitCORE=0\n";
	_cleanup_free_ char *folder = path_of("/pid");
	_cleanup_close_ int fd = -EBADF;
	char difference[400] = "";

	put("/pid/status", "Name:\tsystemd\nNoNewPrivs:\t1\nSeccomp:\t2\n", 0444);
	put("/pid/limits",
		"Limit                     Soft Limit           Hard Limit           Units     \n"
		"Max file size             unlimited            unlimited            bytes     \n"
		"Max core file size        0                    0                    bytes     \n"
		"Max open files            16384                16384                files     \n",
		0444);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(drift_manager(text, fd, difference, sizeof(difference)), 0);
	assert_int_equal(
		drift_manager("[Service]\nLimitFSIZE=5\nLimitNOFILE=1638\n", fd, difference, sizeof(difference)), 1);
	assert_non_null(strstr(difference, "Max open files is 16384, the policy gives 1638"));
	assert_non_null(strstr(difference, "Max file size is unlimited, the policy gives 5"));
	put("/pid/status", "Name:\tsystemd\nNoNewPrivs:\t0\n", 0444);
	assert_int_equal(drift_manager(text, fd, difference, sizeof(difference)), 1);
	assert_string_equal(difference, "NoNewPrivs is 0, the policy gives yes");
	/* nothing is asked for */
	assert_int_equal(drift_manager("[Service]\nRestart=always\n", fd, difference, sizeof(difference)), 0);
	put("/pid/status", "Name:\tsystemd\n", 0444);
	assert_int_equal(drift_manager(text, fd, difference, sizeof(difference)), -ENODATA);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_drift_units),
		TEST(test_limits_hold),
		TEST(test_drift_slice),
		TEST(test_drift_manager),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

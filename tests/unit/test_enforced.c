/* SPDX-License-Identifier: MIT */
/* What creel-enforce says it brought about, and who may log in on the strength of it: whatever is not sure refuses. */
#include "tests/unit/unit.h"

#include "shell/base/file.h"
#include "shell/policy/enforced.h"
#include "shell/policy/slice.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#define UID 1000
#define ALL_OK "stamp 7\nmechanism ports ok\nmechanism processes ok\n"

static char root[64];

static void write_at(const char *below, const char *text)
{
	_cleanup_free_ char *path = str_format("%s%s", root, below);
	_cleanup_close_ int fd = -EBADF;

	for (char *slash = strchr(path + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		(void)mkdir(path, 0755);
		*slash = '/';
	}
	(void)unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static int set_up(void **state)
{
	(void)snprintf(root, sizeof(root), "/tmp/creel-test-enforced-XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int tear_down(void **state)
{
	_cleanup_free_ char *command = str_format("rm -rf '%s'", root);

	return command ? system(command) : -1;
}

static Policy *policy_of(const char *text)
{
	const PolicyText candidate = { .label = "bob.conf", .text = text, .n = strlen(text) };
	PolicyError error = { "" };
	Policy *policy = NULL;

	assert_int_equal(policy_load_text(root, "bob", NULL, &candidate, &policy, &error), 0);
	return policy;
}

/* NULL: a login is possible. */
static const char *refusal(const char *file, const char *policy_text, char reason[static 512])
{
	_cleanup_(policy_freep) Policy *policy = policy_of(policy_text);
	_cleanup_enforced_ Enforced enforced = { 0 };
	int r = -ENOENT;

	if (file) {
		/* the rows tell of two mechanisms; what else every policy needs is there */
		_cleanup_free_ char *whole = str_format("%s%s", file,
			*file ? "mechanism strangers ok\nmechanism services ok\nmechanism cgroups ok\nmechanism "
				"executions ok\nmechanism "
				"firewall ok\nmechanism disk "
				"ok\n"
			      : "");

		assert_non_null(whole);
		write_at(ENFORCED_DIR "/1000", whole);
		r = enforced_read(root, UID, &enforced);
	}
	return enforced_lacks(r < 0 ? NULL : &enforced, policy, false, reason, 512);
}

static void test_refusals(void **state)
{
	static const struct {
		const char *file, *policy, *reason; /* NULL: none */
	} rows[] = {
		{ ALL_OK, "", NULL },
		{ NULL, "", "creel-enforce.service has not run for it (mechanism ports)" },
		{ NULL,
			"[agent]\noptional = ports, processes, strangers, services, cgroups, executions, firewall, "
			"disk\n",
			NULL },
		{ NULL,
			"[agent]\noptional = ports, processes, strangers, services, cgroups, executions, "
			"firewall\n[limits]\ndisk "
			"= max\n",
			NULL },
		{ NULL, "[agent]\noptional = ports, processes, strangers, services, cgroups, executions, firewall\n",
			"(mechanism disk)" },
		{ ALL_OK, "[network]\nmode = none\n", "(mechanism network)" },
		{ ALL_OK, "[network]\nmax_bandwidth = 1M\n", "(mechanism network)" },
		{ ALL_OK "mechanism network ok\n",
			"[exec]\nnetwork = restricted\n[network]\nallowed_hosts = a.example\n",
			"(mechanism restricted)" },
		{ ALL_OK "mechanism network ok\nmechanism restricted ok\n",
			"[exec]\nnetwork = restricted\n[network]\nallowed_hosts = a.example\n", NULL },
		{ "stamp 7\nmechanism ports ok\n", "", "(mechanism processes)" },
		{ "stamp 7\nmechanism ports ok\n", "[agent]\noptional = processes\n", NULL },
		{ "stamp 7\nmechanism ports ok\n", "[limits]\nprocesses = max\n", NULL },
		{ "stamp 7\nmechanism ports ok\n", "[agent]\noptional = ports\n", "(mechanism processes)" },
		{ "stamp 7\nmechanism ports failed no such thing\nmechanism processes ok\n", "",
			"this machine does not limit the ports that an agent may bind: no such thing (mechanism "
			"ports)" },
		/* of another version: what it knows besides is its own */
		{ ALL_OK "mechanism charm ok\npin charm /nowhere\n", "", NULL },
		/* what is not understood is nothing */
		{ ALL_OK "nonsense\n", "", "has not run" },
		{ ALL_OK "mechanism ports\n", "", "has not run" },
		{ ALL_OK "mechanism ports perhaps\n", "", "has not run" },
		{ "stamp x\n" ALL_OK, "", "has not run" },
		{ "", "", "has not run" },
		{ ALL_OK "pin processes /sys/fs/bpf/gone\n", "", "/sys/fs/bpf/gone: No such file or directory" },
		{ ALL_OK "pin processes /sys/fs/bpf/there\n", "", NULL },
		{ ALL_OK "pin ports /sys/fs/bpf/there\npin ports /sys/fs/bpf/gone\n", "", "(mechanism ports)" },
	};
	char reason[512];

	write_at("/sys/fs/bpf/there", "");
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		const char *seen = refusal(rows[i].file, rows[i].policy, reason);

		if (!rows[i].reason != !seen || (seen && !strstr(seen, rows[i].reason)))
			fail_msg("row %zu: %s", i, seen ? seen : "no refusal");
	}
}

static void test_written_is_read(void **state)
{
	_cleanup_enforced_ Enforced written = { .stamp = UINT64_MAX }, seen = { 0 }, nothing;
	char reason[512];

	write_at("/sys/fs/bpf/there", "");
	write_at(ENFORCED_DIR "/1000", "");
	for (size_t i = 0; mechanisms[i].name; i++)
		written.results[i].state = MECHANISM_OK;
	written.results[1].state = MECHANISM_FAILED;
	(void)snprintf(written.results[1].reason, sizeof(written.results[1].reason), "because of it");
	assert_int_equal(strlist_add(&written.results[0].pins, "/sys/fs/bpf/there"), 0);
	assert_int_equal(enforced_write(root, UID, &written), 0);
	assert_int_equal(enforced_read(root, UID, &seen), 0);
	assert_true(seen.stamp == UINT64_MAX);
	assert_int_equal(seen.results[0].state, MECHANISM_OK);
	assert_int_equal(seen.results[0].pins.n, 1);
	assert_int_equal(seen.results[1].state, MECHANISM_FAILED);
	assert_string_equal(seen.results[1].reason, "because of it");
	assert_int_equal(enforced_read(root, UID + 1, &nothing), -ENOENT);

	/* what the policy calls optional is a warning */
	_cleanup_(policy_freep) Policy *policy = policy_of("[agent]\noptional = processes, strangers\n");

	assert_null(enforced_lacks(&written, policy, false, reason, sizeof(reason)));
	assert_non_null(strstr(enforced_lacks(&written, policy, true, reason, sizeof(reason)), "because of it"));
}

static void test_usage(void **state)
{
	ProcessUsage usage = { 0 };

	assert_int_equal(process_usage_read(root, UID, &usage), -ENOENT);
	write_at(PROCESS_USAGE_FILE, "100 1 2 3\n1000 4 50 6\n10000 7 18446744073709551615 9\nx\n");
	assert_int_equal(process_usage_read(root, UID, &usage), 0);
	assert_int_equal(usage.count, 4);
	assert_int_equal(usage.limit, 50);
	assert_int_equal(usage.refused, 6);
	assert_int_equal(process_usage_read(root, 10000, &usage), 0);
	assert_true(usage.limit == POLICY_UNLIMITED);
	assert_int_equal(process_usage_read(root, 1001, &usage), -ENOENT);
}

static void test_slice(void **state)
{
	assert_true(cgroup_is_agents("0::/user.slice/user-1000.slice/session-5.scope", 1000));
	assert_true(cgroup_is_agents("0::/creel.slice/creel-rescue@1000.service/session-a/exec-1", 1000));
	assert_false(cgroup_is_agents("0::/user.slice/user-1000.slice", 1000));
	assert_false(cgroup_is_agents("0::/user.slice/user-10001.slice/session-5.scope", 1000));
	assert_false(cgroup_is_agents("0::/x/user.slice/user-1000.slice/session-5.scope", 1000));
	assert_false(cgroup_is_agents("1:name=systemd:/user.slice/user-1000.slice/session-5.scope", 1000));
	assert_false(cgroup_is_agents("", 1000));

	assert_true(cgroup_in_unit("0::/user.slice/user-1000.slice/user@1000.service/app.slice", 1000, "user"));
	assert_false(cgroup_in_unit("0::/user.slice/user-1000.slice/user@1001.service/app.slice", 1000, "user"));
	assert_false(cgroup_in_unit("0::/user.slice/user-1000.slice/xuser@1000.service/app.slice", 1000, "user"));
	assert_false(cgroup_in_rescue("0::/user.slice/user-1000.slice/session-5.scope", 1000));

	assert_string_equal(
		cgroup_session_scope("0::/user.slice/user-1000.slice/session-5.scope", 1000), "session-5.scope");
	assert_null(cgroup_session_scope("0::/user.slice/user-1000.slice/session-5.scope/x", 1000));
	assert_null(cgroup_session_scope("0::/user.slice/user-1000.slice/session-5.service", 1000));
	assert_null(cgroup_session_scope("0::/user.slice/user-1000.slice/run-5.scope", 1000));
	assert_null(cgroup_session_scope("0::/user.slice/user-1001.slice/session-5.scope", 1000));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_written_is_read),
		cmocka_unit_test(test_usage),
		cmocka_unit_test(test_slice),
	};

	return cmocka_run_group_tests_name("enforced", tests, set_up, tear_down);
}

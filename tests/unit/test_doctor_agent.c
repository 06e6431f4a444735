/* SPDX-License-Identifier: MIT */
/* creelctl doctor: one agent. */
#include "tests/unit/doctor.h"

#include <string.h>
#include <unistd.h>

static void test_groups(void **state)
{
	DoctorAgent agent = { .agent = { .name = (char *)"eve", .has_user = true, .uid = UID, .gid = UID } };

	put("/etc/group", "eve:x:1234:\ncreel-agents:x:100:eve\nsudo:x:27:bob,evelyn\ndocker:x:999:\n", 0644);
	assert_finding("agent.groups", &agent, DOCTOR_OK, "2");
	put("/etc/group", "eve:x:1234:\ncreel-agents:x:100:bob\n", 0644);
	assert_finding("agent.groups", &agent, DOCTOR_MISSING, "not in creel-agents");
	put("/etc/group", "eve:x:1234:\nsudo:x:27:bob,eve\n", 0644);
	assert_finding("agent.groups", &agent, DOCTOR_MISSING, "sudo");
	/* the primary one counts, too */
	agent.agent.gid = 999;
	put("/etc/group", "eve:x:1234:\ndocker:x:999:\n", 0644);
	assert_finding("agent.groups", &agent, DOCTOR_MISSING, "docker");
}

static void test_home(void **state)
{
	DoctorAgent agent = {
		.agent = { .name = (char *)"eve", .home = (char *)"/home/eve", .has_user = true, .uid = UID }
	};

	if (geteuid() != 0)
		skip();
	assert_finding("agent.home", &agent, DOCTOR_MISSING, "");
	make_folders("/home/eve", 0700);
	assert_finding("agent.home", &agent, DOCTOR_MISSING, "owner 0");
	{
		_cleanup_free_ char *home = path_of("/home/eve");

		assert_int_equal(chown(home, UID, UID), 0);
		assert_finding("agent.home", &agent, DOCTOR_OK, "");
		assert_int_equal(chmod(home, 0750), 0);
		assert_finding("agent.home", &agent, DOCTOR_DEGRADED, "0750");
	}
}

static void test_keys(void **state)
{
	Policy policy = { .keys = KEYS_HOME };
	DoctorAgent agent = { .agent = { .name = (char *)"eve", .home = (char *)"/home/eve", .has_user = true },
		.policy = &policy };
	_cleanup_free_ char *keys = path_of("/home/eve/.ssh/authorized_keys"), *target = path_of("/target"),
			    *ssh = path_of("/home/eve/.ssh"), *policy_keys = path_of("/etc/creel/agents/eve.keys");

	agent.agent.uid = geteuid();
	make_folders("/home/eve/.ssh", 0700);
	make_folders("/home/eve", 0700);
	assert_finding("agent.keys", &agent, DOCTOR_DEGRADED, "no key");
	put("/home/eve/.ssh/authorized_keys", "", 0600);
	assert_finding("agent.keys", &agent, DOCTOR_DEGRADED, "no key");
	put("/home/eve/.ssh/authorized_keys", KEY_PUBLIC "\n", 0600);
	assert_finding("agent.keys", &agent, DOCTOR_OK, "");
	put("/home/eve/.ssh/authorized_keys", KEY_PUBLIC "\n", 0620);
	assert_finding("agent.keys", &agent, DOCTOR_MISSING, "0620");
	put("/home/eve/.ssh/authorized_keys", KEY_PUBLIC "\n", 0600);
	assert_int_equal(chmod(ssh, 0770), 0);
	assert_finding("agent.keys", &agent, DOCTOR_MISSING, ".ssh");
	assert_int_equal(chmod(ssh, 0700), 0);

	/* no link is followed, and a FIFO blocks nobody */
	assert_int_equal(rename(keys, target), 0);
	assert_int_equal(symlink(target, keys), 0);
	assert_finding("agent.keys", &agent, DOCTOR_MISSING, "");
	assert_int_equal(unlink(keys), 0);
	assert_int_equal(mkfifo(keys, 0600), 0);
	assert_finding("agent.keys", &agent, DOCTOR_MISSING, "");

	if (geteuid() != 0)
		return;
	policy.keys = KEYS_POLICY;
	assert_finding("agent.keys", &agent, DOCTOR_DEGRADED, "policy");
	put("/etc/creel/agents/eve.keys", KEY_PUBLIC "\n", 0644);
	assert_finding("agent.keys", &agent, DOCTOR_OK, "");
	assert_int_equal(chmod(policy_keys, 0664), 0);
	assert_finding("agent.keys", &agent, DOCTOR_MISSING, "0664");
}

static void test_agent_facts(void **state)
{
	Policy policy = { .profile = (char *)"instaclaw", .shell = (char *)"/bin/sh" };
	DoctorAgent agent = { .agent = { .name = (char *)"eve", .shell = (char *)"/bin/sh" }, .policy = &policy };

	assert_finding("agent.user", &agent, DOCTOR_MISSING, "no such user");
	agent.agent.has_user = true;
	agent.agent.uid = 42;
	assert_finding("agent.user", &agent, DOCTOR_MISSING, "42");
	agent.agent.uid = UID;
	assert_finding("agent.user", &agent, DOCTOR_OK, "1234");
	assert_finding("agent.mark", &agent, DOCTOR_DEGRADED, "");
	agent.agent.uid_marked = true;
	assert_finding("agent.mark", &agent, DOCTOR_OK, "");
	assert_finding("agent.policy", &agent, DOCTOR_OK, "instaclaw");
	agent.policy = NULL;
	agent.agent.has_file = true;
	(void)snprintf(agent.error.text, sizeof(agent.error.text), "/etc/creel/agents/eve.conf:2: bad");
	assert_finding("agent.policy", &agent, DOCTOR_MISSING, "eve.conf:2: bad");
	agent.policy = &policy;
	assert_finding("agent.shell", &agent, DOCTOR_OK, "/bin/sh");
	policy.shell = (char *)"/bin/zsh";
	assert_finding("agent.shell", &agent, DOCTOR_DEGRADED, "/bin/zsh");
	/* where the one that confines is installed, no other will do */
	put(CREEL_LIBEXECDIR "/creel-shell", "", 0755);
	policy.shell = (char *)"/bin/sh";
	assert_finding("agent.shell", &agent, DOCTOR_DEGRADED, "do not confine");
	agent.agent.shell = (char *)CREEL_LIBEXECDIR "/creel-shell";
	assert_finding("agent.shell", &agent, DOCTOR_OK, "creel-shell");
	assert_finding("agent.linger", &agent, DOCTOR_DEGRADED, "");
	put("/var/lib/systemd/linger/eve", "", 0644);
	assert_finding("agent.linger", &agent, DOCTOR_OK, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_groups),
		TEST(test_home),
		TEST(test_keys),
		TEST(test_agent_facts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

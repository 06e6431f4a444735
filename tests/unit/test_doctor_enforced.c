/* SPDX-License-Identifier: MIT */
/* creelctl doctor: what creel-enforce says. */
#include "tests/unit/doctor.h"

#include "shell/policy/enforced.h"

static void test_enforced(void **state)
{
	Policy policy = { .name = (char *)"eve", .processes = 50 };
	DoctorAgent agent = { .agent = { .name = (char *)"eve", .has_user = true, .uid = UID }, .policy = &policy };
	char text[512];

	assert_finding("enforced.needed", &agent, DOCTOR_MISSING, "logins are refused");
	assert_finding("enforced.applied", &agent, DOCTOR_MISSING, ENFORCED_DIR);
	assert_finding("enforced.attached", &agent, DOCTOR_MISSING, ENFORCED_DIR);
	put("/sys/fs/bpf/creel/p", "", 0600);
	(void)snprintf(text, sizeof(text),
		"stamp %llu\nmechanism ports ok\npin ports /sys/fs/bpf/creel/p\nmechanism processes failed no LSM\n"
		"mechanism strangers ok\nmechanism services ok\nmechanism cgroups ok\nmechanism executions "
		"ok\nmechanism firewall ok\nmechanism "
		"network ok\nmechanism "
		"disk ok\n",
		(unsigned long long)policy_stamp(root, "eve"));
	put(ENFORCED_DIR "/1234", text, 0600);
	assert_finding("enforced.needed", &agent, DOCTOR_MISSING, "no LSM");
	assert_finding("enforced.optional", &agent, DOCTOR_OK, "");
	assert_finding("enforced.applied", &agent, DOCTOR_OK, "");
	/* its policy may do without */
	assert_int_equal(strlist_add(&policy.optional, "processes"), 0);
	assert_finding("enforced.needed", &agent, DOCTOR_OK, "");
	assert_finding("enforced.optional", &agent, DOCTOR_DEGRADED, "no LSM");
	/* a file that is no program's */
	assert_finding("enforced.attached", &agent, DOCTOR_MISSING, "/sys/fs/bpf/creel/p");
	put("/etc/creel/agents/eve.conf", "[limits]\n", 0644);
	assert_finding("enforced.applied", &agent, DOCTOR_DEGRADED, "edited");
	strlist_done(&policy.optional);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_enforced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

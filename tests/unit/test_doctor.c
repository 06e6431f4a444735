/* SPDX-License-Identifier: MIT */
/* creelctl doctor: its tables of checks, and what they look at files with. */
#include "tests/unit/doctor.h"

#include <string.h>

static void test_tables(void **state)
{
	StrList ids = { 0 };

	for (size_t i = 0; doctor_tables[i]; i++)
		for (const DoctorCheck *check = doctor_tables[i]; check->id; check++) {
			assert_false(strlist_contains(&ids, check->id));
			assert_int_equal(strlist_add(&ids, check->id), 0);
			assert_non_null(strchr(check->id, '.'));
			assert_true(strlen(check->what) > 0);
			/* rows of the machine have no agent to look at */
			assert_true(doctor_tables[i] == doctor_agent || doctor_tables[i] == doctor_enforced ||
				    doctor_tables[i] == doctor_agent_network ||
				    !(check->needs & (NEEDS_POLICY | NEEDS_USER)));
		}
	assert_true(ids.n > 40);
	strlist_done(&ids);
	assert_int_equal(doctor_worse(DOCTOR_OK, DOCTOR_UNSEEN), DOCTOR_UNSEEN);
	assert_int_equal(doctor_worse(DOCTOR_MISSING, DOCTOR_DEGRADED), DOCTOR_MISSING);
}

static void test_words(void **state)
{
	assert_true(look_word("cpuset cpu io", "cpu"));
	assert_true(look_word("lockdown,bpf", "bpf"));
	assert_true(look_word("[none] x", "none"));
	assert_false(look_word("cpuset io", "cpu"));
	assert_false(look_word("xbpf,bpfx", "bpf"));
	assert_true(look_word("bpfx bpf", "bpf"));
	assert_false(look_word("", "cpu"));
	assert_true(look_shipped("/lib/systemd/system/x.service"));
	assert_true(look_shipped("/run/systemd/generator/x.service.d/50-creel.conf"));
	assert_false(look_shipped("/etc/systemd/system/x.service"));
	assert_false(look_shipped("/run/systemd/system.control/x.slice.d/50-MemoryMax.conf"));
	assert_false(look_shipped("/run/systemd/generator.early/x.service"));
}

static void test_unseen_is_never_ok(void **state)
{
	Finding finding = { .state = DOCTOR_OK };

	finding_error(&finding, -EACCES, "x");
	assert_int_equal(finding.state, DOCTOR_UNSEEN);
	finding_error(&finding, -ENOENT, "x");
	assert_int_equal(finding.state, DOCTOR_MISSING);
	finding_error(&finding, -EIO, "x");
	assert_int_equal(finding.state, DOCTOR_DEGRADED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tables),
		TEST(test_words),
		TEST(test_unseen_is_never_ok),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

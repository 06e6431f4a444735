/* SPDX-License-Identifier: MIT */
/* creelctl doctor: the record, and owners of files. */
#include "tests/unit/doctor.h"

#include <unistd.h>

/* a thirtieth more, for whole files go */
#define RETENTION_60_DAYS(size)                                                               \
	"# made by creelctl of the policies' [audit] retention; policy apply makes it anew\n" \
	"[Journal]\nMaxRetentionSec=5356800\nMaxFileSec=172800\nSystemMaxUse=" size "M\n"

static void test_record(void **state)
{
	assert_finding("record.kept", NULL, DOCTOR_MISSING, "");
	put("/usr/lib/systemd/journald@creel.conf.d/creel.conf",
		"[Journal]\nStorage=persistent\nMaxRetentionSec=30day\n", 0644);
	assert_finding("record.kept", NULL, DOCTOR_OK, "30 days, in 1G");
	put("/usr/lib/systemd/journald@creel.conf.d/creel.conf", "[Journal]\nStorage=volatile\nMaxRetentionSec=30day\n",
		0644);
	assert_finding("record.kept", NULL, DOCTOR_MISSING, "");
	put("/usr/lib/systemd/journald@creel.conf.d/creel.conf",
		"[Journal]\nStorage=persistent\nMaxRetentionSec=30day\n", 0644);

	/* what the policies ask for, and nothing else */
	make_folders("/etc/creel/agents", 0755);
	put("/etc/creel/agents/one.conf", "[audit]\nretention = 60d\n", 0644);
	assert_finding("record.kept", NULL, DOCTOR_DEGRADED, "not what the policies say");
	put("/etc/systemd/journald@creel.conf.d/policy.conf", RETENTION_60_DAYS("1560"), 0644);
	assert_finding("record.kept", NULL, DOCTOR_OK, "60 days");
	put("/etc/creel/agents/two.conf", "[audit]\nretention = 20d\n", 0644);
	assert_finding("record.kept", NULL, DOCTOR_OK, "60 days, in 3.");
	put("/etc/systemd/journald@creel.conf.d/policy.conf", RETENTION_60_DAYS("3120"), 0644);
	assert_finding("record.kept", NULL, DOCTOR_OK, "60 days, in 3.");
	put("/etc/creel/agents/two.conf", "[audit]\nretention = 90d\n", 0644);
	assert_finding("record.kept", NULL, DOCTOR_DEGRADED, "not what the policies say");
	put("/etc/creel/agents/one.conf", "", 0644);
	put("/etc/creel/agents/two.conf", "[audit]\nretention = 30d\n", 0644);
	assert_finding("record.kept", NULL, DOCTOR_DEGRADED, "not what the policies say");
	put("/etc/systemd/journald@creel.conf.d/creel.conf", "", 0644);
	assert_finding("record.kept", NULL, DOCTOR_DEGRADED, "/etc/systemd");

	put("/etc/machine-id", "0123456789abcdef0123456789abcdef\n", 0644);
	assert_finding("record.persistent", NULL, DOCTOR_OK, "nothing is recorded");
	if (geteuid() != 0)
		return;
	make_folders("/var/log/journal/0123456789abcdef0123456789abcdef.creel", 0755);
	assert_finding("record.persistent", NULL, DOCTOR_OK, "");
	make_folders("/var/log/journal/0123456789abcdef0123456789abcdef.creel", 0777);
	assert_finding("record.persistent", NULL, DOCTOR_MISSING, "0777");
}

static void test_owners(void **state)
{
	_cleanup_free_ char *path = path_of("/run/systemd/journal.creel/socket");

	if (geteuid() != 0)
		skip();
	put("/etc/group", "root:x:0:\ncreel-sshd:x:997:\n", 0644);
	assert_finding("record.socket", NULL, DOCTOR_MISSING, "");
	put("/run/systemd/journal.creel/socket", "", 0660);
	assert_finding("record.socket", NULL, DOCTOR_MISSING, "group 0");
	assert_int_equal(chown(path, 0, 997), 0);
	assert_finding("record.socket", NULL, DOCTOR_OK, "");
	assert_int_equal(chmod(path, 0666), 0);
	assert_finding("record.socket", NULL, DOCTOR_MISSING, "0666");

	make_folders("/etc/creel/agents", 0755);
	make_folders("/etc/creel/provisioned", 0755);
	make_folders("/usr/share/creel/profiles", 0755);
	assert_finding("policy.folders", NULL, DOCTOR_OK, "");
	make_folders("/etc/creel/agents", 0775);
	assert_finding("policy.folders", NULL, DOCTOR_MISSING, "0775");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_record),
		TEST(test_owners),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

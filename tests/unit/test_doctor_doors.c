/* SPDX-License-Identifier: MIT */
/* creelctl doctor: keys, ports, accounts and PAM. */
#include "tests/unit/doctor.h"

#include <stdlib.h>
#include <unistd.h>

static void make_key(const char *type, const char *passphrase)
{
	_cleanup_free_ char *command = NULL;

	make_folders("/etc/creel", 0755);
	command = str_format(
		"rm -f %s/etc/creel/ssh_host*; ssh-keygen -q -t %s -N '%s' -f %s/etc/creel/ssh_host_ed25519_key", root,
		type, passphrase, root);
	assert_non_null(command);
	assert_int_equal(system(command), 0);
}

static void test_host_key(void **state)
{
	if (geteuid() != 0)
		skip();
	assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "No such file");
	make_key("ed25519", "");
	assert_finding("doors.host_key", NULL, DOCTOR_OK, "ed25519");
	put("/etc/creel/ssh_host_ed25519_key.pub", KEY_PUBLIC " other\n", 0644);
	assert_finding("doors.host_key", NULL, DOCTOR_DEGRADED, ".pub");
	make_key("ed25519", "secret");
	assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "no plain");
	make_key("ecdsa", "");
	assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "no plain");
	put("/etc/creel/ssh_host_ed25519_key", "", 0600);
	assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "no plain");
	put("/etc/creel/ssh_host_ed25519_key",
		"-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmU=\n-----END OPENSSH PRIVATE "
		"KEY-----\n",
		0600);
	assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "no plain");
	make_key("ed25519", "");
	{
		_cleanup_free_ char *path = path_of("/etc/creel/ssh_host_ed25519_key");

		assert_int_equal(chmod(path, 0640), 0);
		assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "0640");
		assert_int_equal(chmod(path, 0600), 0);
		assert_int_equal(chown(path, UID, 0), 0);
		assert_finding("doors.host_key", NULL, DOCTOR_MISSING, "owner 1234");
	}
}

static void test_addresses(void **state)
{
	static const char four[] = "   0: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000\n";
	static const char own[] = "   0: 0100007F:0016 00000000:0000 0A 00000000:00000000 00:00000000\n";
	static const char gone[] = "   0: 00000000:0016 00000000:0000 06 00000000:00000000 00:00000000\n";
	static const char six[] =
		"   0: 00000000000000000000000000000000:0016 00000000000000000000000000000000:0000 0A 0\n";

	put("/proc/net/tcp", own, 0444);
	assert_finding("doors.addresses", NULL, DOCTOR_DEGRADED, "not open");
	put("/proc/net/tcp", gone, 0444);
	assert_finding("doors.addresses", NULL, DOCTOR_DEGRADED, "not open");
	put("/proc/net/tcp", four, 0444);
	assert_finding("doors.addresses", NULL, DOCTOR_OK, "IPv4");
	put("/proc/net/tcp6", "", 0444);
	assert_finding("doors.addresses", NULL, DOCTOR_DEGRADED, "IPv4 alone");
	put("/proc/net/tcp", "", 0444);
	put("/proc/net/tcp6", six, 0444);
	assert_finding("doors.addresses", NULL, DOCTOR_OK, "both");
}

static void test_account_and_pam(void **state)
{
	put("/etc/passwd", "root:x:0:0::/root:/bin/bash\n", 0644);
	assert_finding("doors.account", NULL, DOCTOR_MISSING, "no user");
	put("/etc/passwd", "creel-sshd:x:0:0::/:/usr/sbin/nologin\n", 0644);
	assert_finding("doors.account", NULL, DOCTOR_MISSING, "uid 0");
	put("/etc/passwd", "creel-sshd:x:997:997::/:/bin/bash\n", 0644);
	assert_finding("doors.account", NULL, DOCTOR_DEGRADED, "/bin/bash");
	put("/etc/passwd", "creel-sshd:x:997:997::/:/usr/sbin/nologin\n", 0644);
	assert_finding("doors.account", NULL, DOCTOR_OK, "997");

	assert_finding("doors.pam", NULL, DOCTOR_MISSING, "");
	put("/etc/pam.d/creel", "# account required pam_unix.so\naccount required pam_nologin.so\n", 0644);
	assert_finding("doors.pam", NULL, DOCTOR_DEGRADED, "pam_unix.so");
	put("/etc/pam.d/creel", "account optional pam_unix.so\naccount required pam_nologin.so\n", 0644);
	assert_finding("doors.pam", NULL, DOCTOR_DEGRADED, "pam_unix.so");
	put("/etc/pam.d/creel", "account required pam_nologin.so\naccount\trequired\tpam_unix.so\n", 0644);
	assert_finding("doors.pam", NULL, DOCTOR_OK, "");
}

static void test_sessions(void **state)
{
	static const char with[] = "session optional pam_systemd.so\nsession [default=bad] pam_creel.so\n";

	put("/etc/pam.d/common-session", with, 0644);
	assert_finding("doors.sessions", NULL, DOCTOR_MISSING, "noninteractive");
	put("/etc/pam.d/common-session-noninteractive",
		"# pam_creel.so\nsession optional pam_systemd.so # pam_creel.so\n", 0644);
	assert_finding("doors.sessions", NULL, DOCTOR_MISSING, "noninteractive");
	put("/etc/pam.d/common-session-noninteractive", with, 0644);
	assert_finding("doors.sessions", NULL, DOCTOR_OK, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_host_key),
		TEST(test_addresses),
		TEST(test_account_and_pam),
		TEST(test_sessions),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

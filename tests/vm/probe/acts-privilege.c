/* SPDX-License-Identifier: MIT */
/* Becoming somebody else, or more. */
#include "tests/vm/probe/probe.h"

#include <grp.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The copy exits with 0 where its bits gave it something: then the act succeeded. */
static int gain_by(const Targets *targets, const char *copy)
{
	char path[256];
	const char *argv[] = { path, "--gain", NULL };

	(void)snprintf(path, sizeof(path), "%s/%s", targets->files, copy);
	return try_program(argv);
}

static int setuid_program(const Targets *targets)
{
	return gain_by(targets, "setuid");
}

static int setgid_program(const Targets *targets)
{
	return gain_by(targets, "setgid");
}

static int capable_program(const Targets *targets)
{
	return gain_by(targets, "filecaps");
}

static int become_root(const Targets *targets)
{
	return TRY(syscall(SYS_setresuid, 0, 0, 0));
}

static int become_root_group(const Targets *targets)
{
	return TRY(syscall(SYS_setresgid, 0, 0, 0));
}

static int become_other(const Targets *targets)
{
	return TRY(syscall(SYS_setresuid, targets->other_uid, targets->other_uid, targets->other_uid));
}

static int join_groups(const Targets *targets)
{
	static const gid_t groups[] = { 0 };

	return TRY(syscall(SYS_setgroups, 1, groups));
}

static int raise_capability(const Targets *targets)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct data[2] = { { .effective = 1, .permitted = 1 }, { 0 } };

	return TRY(syscall(SYS_capset, &header, data));
}

static int raise_ambient(const Targets *targets)
{
	return TRY(prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));
}

static int take_back_no_new_privs(const Targets *targets)
{
	return TRY(prctl(PR_SET_NO_NEW_PRIVS, 0, 0, 0, 0));
}

static int capabilities_none(const Targets *targets)
{
	static const char *const sets[] = { "CapInh", "CapPrm", "CapEff", "CapAmb" };
	char value[32];

	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		int r = status_get(sets[i], value, sizeof(value));

		if (r < 0)
			return r;
		if (strtoull(value, NULL, 16))
			return -EPERM;
	}
	return 0;
}

/* CAP_NET_RAW stays in it, so that ping can be executed. */
static int bounding_none_but_net_raw(const Targets *targets)
{
	char value[32];
	int r = status_get("CapBnd", value, sizeof(value));

	return r < 0 ? r : strtoull(value, NULL, 16) & ~(1ULL << CAP_NET_RAW) ? -EPERM : 0;
}

static int no_new_privs(const Targets *targets)
{
	int r = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0);

	return r == 1 ? 0 : r < 0 ? -errno : -EPERM;
}

static int filtered(const Targets *targets)
{
	char value[8];
	int r = status_get("Seccomp", value, sizeof(value));

	return r < 0 ? r : strcmp(value, "2") == 0 ? 0 : -EPERM;
}

/* The machine that it is tried on lets everybody do these without a password: where they fail, the confinement does it. */
static int run_sudo(const Targets *targets)
{
	return try_program((const char *const[]){ "/usr/bin/sudo", "-n", "true", NULL });
}

static int run_su(const Targets *targets)
{
	return try_program((const char *const[]){ "/usr/bin/su", "root", "-c", "true", NULL });
}

static int run_su_other(const Targets *targets)
{
	char name[64];
	const char *slash = strrchr(targets->other_home, '/');

	(void)snprintf(name, sizeof(name), "%s", slash ? slash + 1 : "?");
	return try_program((const char *const[]){ "/usr/bin/su", name, "-c", "true", NULL });
}

static int run_passwd(const Targets *targets)
{
	/* it would change what root keeps for us: the shell */
	return try_program((const char *const[]){ "/usr/bin/chsh", "-s", "/bin/sh", NULL });
}

static int give_capability(const Targets *targets)
{
	static const unsigned char all[20] = { 0x01, 0x00, 0x00, 0x02, 0xff, 0xff, 0xff, 0xff };
	char path[] = "/tmp/probe-cap-XXXXXX";
	int fd = mkstemp(path), r;

	if (fd < 0)
		return -errno;
	r = TRY(fsetxattr(fd, "security.capability", all, sizeof(all), 0));
	(void)unlink(path);
	(void)close(fd);
	return r;
}

const Act acts_privilege[] = {
	{ "no-new-privs", NEEDED, { 0 }, no_new_privs, "programs give nothing that their caller has not" },
	{ "capabilities-none", NEEDED, { 0 }, capabilities_none, "no capability in any set that counts" },
	{ "bounding-none-but-net-raw", NEEDED, { 0 }, bounding_none_but_net_raw, "no program can be given one" },
	{ "filtered", NEEDED, { 0 }, filtered, "system calls pass the filter" },
	{ "no-new-privs-off", FORBIDDEN, { EINVAL, EPERM }, take_back_no_new_privs, "what is given up stays so" },
	{ "setuid-program", FORBIDDEN, { EPERM, EACCES }, setuid_program, "a set-user-id bit gives nothing" },
	{ "setgid-program", FORBIDDEN, { EPERM, EACCES }, setgid_program, "a set-group-id bit gives nothing" },
	{ "capable-program", FORBIDDEN, { EPERM, EACCES }, capable_program, "file capabilities give nothing" },
	{ "become-root", FORBIDDEN, { EPERM }, become_root, "identity is given once" },
	{ "become-root-group", FORBIDDEN, { EPERM }, become_root_group, "identity is given once" },
	{ "become-other", FORBIDDEN, { EPERM }, become_other, "agents are apart" },
	{ "join-groups", FORBIDDEN, { EPERM }, join_groups, "identity is given once" },
	{ "raise-capability", FORBIDDEN, { EPERM }, raise_capability, "no capability comes back" },
	{ "raise-ambient", FORBIDDEN, { EPERM }, raise_ambient, "no capability comes back" },
	{ "give-capability", FORBIDDEN, { EPERM }, give_capability, "files of the agent carry none" },
	{ "sudo", FORBIDDEN, { EPERM, EACCES, ENOENT }, run_sudo, "even where sudoers allows it" },
	{ "su-root", FORBIDDEN, { EPERM, EACCES }, run_su, "no way to root" },
	{ "su-other", FORBIDDEN, { EPERM, EACCES }, run_su_other, "agents are apart" },
	{ "chsh", FORBIDDEN, { EPERM, EACCES, ENOENT }, run_passwd, "the login shell is the door's" },
	{ NULL },
};

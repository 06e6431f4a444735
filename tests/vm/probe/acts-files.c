/* SPDX-License-Identifier: MIT */
/* Files: others', root's, and what would outlive or outgrow the agent's rights. */
#include "tests/vm/probe/probe.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *in(const Targets *targets, const char *name)
{
	static char path[256];

	(void)snprintf(path, sizeof(path), "%s/%s", targets->files, name);
	return path;
}

#define ON(NAME, CALL)                          \
	static int NAME(const Targets *targets) \
	{                                       \
		return CALL;                    \
	}

ON(home_other, try_open(targets->other_home, O_RDONLY | O_DIRECTORY))
ON(shadow, try_open("/etc/shadow", O_RDONLY))
ON(hostkey, try_open("/etc/creel/ssh_host_ed25519_key", O_RDONLY))
ON(root_home, try_open("/root", O_RDONLY | O_DIRECTORY))
ON(policy_write, try_open("/etc/creel/creel.conf", O_WRONLY))
ON(policy_add, try_open("/etc/creel/agents/probe.conf", O_WRONLY | O_CREAT | O_EXCL))
ON(program_write, try_open("/usr/bin/env", O_WRONLY))
ON(program_add, try_open("/usr/local/bin/probe-added", O_WRONLY | O_CREAT | O_EXCL))
ON(system_write, try_open("/etc/probe-added", O_WRONLY | O_CREAT | O_EXCL))
ON(cron_add, try_open("/var/spool/cron/crontabs/probe", O_WRONLY | O_CREAT | O_EXCL))
ON(shared_write, try_open(in(targets, "shared"), O_WRONLY))

static int open_folder(const Targets *targets)
{
	int r = try_open(in(targets, "open/made"), O_WRONLY | O_CREAT | O_EXCL);

	if (!r)
		(void)unlink(in(targets, "open/made"));
	return r;
}

/* The record's journal lies beside the machine's, named after it. */
static int record_read(const Targets *targets)
{
	char id[64] = "", path[128];
	FILE *file = fopen("/etc/machine-id", "re");

	if (!file || !fgets(id, sizeof(id), file))
		return ODD;
	(void)fclose(file);
	id[strcspn(id, "\n")] = '\0';
	(void)snprintf(path, sizeof(path), "/var/log/journal/%s.creel/system.journal", id);
	return try_open(path, O_RDONLY);
}

/* A file of our own in /tmp that goes with the descriptor's name; returns a descriptor. */
static int own_file(char path[static 32])
{
	(void)snprintf(path, 32, "/tmp/probe-own-XXXXXX");
	return mkstemp(path);
}

static int set_mode(mode_t mode)
{
	char path[32];
	int fd = own_file(path), r;

	if (fd < 0)
		return ODD;
	r = TRY(fchmod(fd, mode));
	(void)unlink(path);
	return r;
}

ON(set_user_id, set_mode(04755))
ON(set_group_id, set_mode(02755))

static int make_set_user_id(const Targets *targets)
{
	int fd = open("/tmp/probe-made", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 04755);

	if (fd < 0)
		return -errno;
	(void)unlink("/tmp/probe-made");
	return 0;
}

static int give_away(const Targets *targets)
{
	char path[32];
	int fd = own_file(path), r;

	if (fd < 0)
		return ODD;
	r = TRY(fchown(fd, targets->other_uid, (gid_t)-1));
	(void)unlink(path);
	return r;
}

/* A link keeps a file of others' alive, and lends it a name in a folder of ours. */
static int link_root(const Targets *targets)
{
	int r = TRY(link("/etc/passwd", "/tmp/probe-link"));

	if (!r)
		(void)unlink("/tmp/probe-link");
	return r;
}

static int link_program(const Targets *targets)
{
	int r = TRY(link(in(targets, "setuid"), "/tmp/probe-link-2"));

	if (!r)
		(void)unlink("/tmp/probe-link-2");
	return r;
}

ON(login_uid, try_write("/proc/self/loginuid", "0"))

const Act acts_files[] = {
	{ "home-other", FORBIDDEN, { EACCES }, home_other, "agents are apart" },
	{ "shadow", FORBIDDEN, { EACCES }, shadow, "root's" },
	{ "host-key", FORBIDDEN, { EACCES }, hostkey, "the front's identity" },
	{ "root-home", FORBIDDEN, { EACCES }, root_home, "root's" },
	{ "policy-write", FORBIDDEN, { EACCES }, policy_write, "limits are root's" },
	{ "policy-add", FORBIDDEN, { EACCES }, policy_add, "limits are root's" },
	{ "program-write", FORBIDDEN, { EACCES }, program_write, "root's" },
	{ "program-add", FORBIDDEN, { EACCES }, program_add, "root's" },
	{ "system-write", FORBIDDEN, { EACCES }, system_write, "root's" },
	{ "cron-add", FORBIDDEN, { EACCES, ENOENT }, cron_add, "cron runs outside the slice" },
	{ "record-read", FORBIDDEN, { EACCES }, record_read, "what others did" },
	{ "shared-write", FORBIDDEN, { EACCES }, shared_write, "writes go where the policy says, whatever modes say" },
	{ "open-folder", FORBIDDEN, { EACCES }, open_folder, "writes go where the policy says, whatever modes say" },
	{ "set-user-id", FORBIDDEN, { EPERM }, set_user_id, "nobody becomes the agent by a file" },
	{ "set-group-id", FORBIDDEN, { EPERM }, set_group_id, "nobody becomes the agent by a file" },
	{ "make-set-user-id", FORBIDDEN, { EPERM }, make_set_user_id, "the same at birth of the file" },
	{ "give-away", FORBIDDEN, { EPERM }, give_away, "quotas are by owner" },
	{ "link-root", FORBIDDEN, { EPERM, EACCES, EXDEV }, link_root, "names of root's files are root's" },
	{ "link-program", FORBIDDEN, { EPERM, EACCES, EXDEV }, link_program,
		"an old set-user-id program outlives its update" },
	{ "login-uid", FORBIDDEN, { EPERM, EACCES }, login_uid, "who logged in" },
	{ NULL },
};

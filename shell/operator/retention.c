/* SPDX-License-Identifier: MIT */
/*
 * How long the record is kept ([audit] retention), and in how much room: settings of the journal namespace, which all agents share. So
 * the longest that any policy asks for holds for all, and the room is what that many agents may write in that time.
 *
 * journald lets go of whole files, by the time of their first entry: a file is begun after a thirtieth of the time, and kept that much
 * longer, so that nothing goes before its time. It keeps a hundred files at most.
 */
#include "shell/operator/retention.h"
#include "shell/base/file.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SECOND UINT64_C(1000000)
#define DAY (24 * 3600 * SECOND)
#define SHIPPED (30 * DAY)          /* units/journald-creel.conf.in */
#define AGENT_AT_ONCE (96ULL << 20) /* what one may cause: shell/creel-keeper.c, shell/keeper/executions.c */
#define AGENT_A_DAY (24ULL << 20)

static const char *agent_of_file(const char *file, char ret[static 256])
{
	size_t n = strlen(file), suffix = strlen(".conf");

	if (n <= suffix || n - suffix > 255 || strcmp(file + n - suffix, ".conf") != 0)
		return NULL;
	(void)snprintf(ret, 256, "%.*s", (int)(n - suffix), file);
	return policy_name_valid(ret) ? ret : NULL;
}

/* One whose policy is bad cannot log in: it counts as an agent, and asks for no time. */
static void read_policies(const char *root, RecordKept *ret)
{
	_cleanup_free_ char *folder = str_format("%s" POLICY_DIR "/agents", root);
	_cleanup_(policy_freep) Policy *defaults = NULL;
	_cleanup_closedir_ DIR *dir = folder ? opendir(folder) : NULL;
	const struct dirent *entry;
	PolicyError error;
	char name[256];

	if (policy_load(root, NULL, &defaults, &error) == 0)
		ret->usec = defaults->audit_retention_usec;
	while (dir && (entry = readdir(dir))) {
		_cleanup_(policy_freep) Policy *policy = NULL;

		if (!agent_of_file(entry->d_name, name))
			continue;
		ret->agents++;
		if (policy_load(root, name, &policy, &error) == 0 && policy->audit_retention_usec > ret->usec)
			ret->usec = policy->audit_retention_usec;
	}
}

void record_kept(const char *root, RecordKept *ret)
{
	_cleanup_free_ char *log = str_format("%s/var/log", root);
	struct statvfs st;

	*ret = (RecordKept){ 0 };
	read_policies(root, ret);
	if (!ret->usec)
		ret->usec = SHIPPED;
	ret->wanted = ret->agents * (AGENT_AT_ONCE + AGENT_A_DAY * (ret->usec / DAY + 1));
	if (ret->wanted < RECORD_SIZE)
		ret->wanted = RECORD_SIZE;
	ret->size = ret->wanted;
	/* never more than a tenth of the disk, as journald itself takes */
	if (log && statvfs(log, &st) == 0 && ret->size > (uint64_t)st.f_blocks * st.f_frsize / 10)
		ret->size = (uint64_t)st.f_blocks * st.f_frsize / 10;
	if (ret->size < RECORD_SIZE)
		ret->size = RECORD_SIZE;
}

bool record_kept_as_shipped(const RecordKept *kept)
{
	return kept->usec == SHIPPED && kept->size == RECORD_SIZE;
}

char *record_kept_text(const RecordKept *kept)
{
	const uint64_t seconds = kept->usec / SECOND, file = seconds / 30, all = seconds + file;

	return str_format("# made by creelctl of the policies' [audit] retention; policy apply makes it anew\n"
			  "[Journal]\nMaxRetentionSec=%llu\nMaxFileSec=%llu\nSystemMaxUse=%lluM\n",
		(unsigned long long)all, (unsigned long long)file, (unsigned long long)(kept->size >> 20));
}

static int restart_journal(Reason *ret_reason)
{
	const char *const argv[] = { "/usr/bin/systemctl", "try-restart", "systemd-journald@creel.service", NULL };
	int r = command_run(argv, ret_reason);

	return r > 0 ? -EPROTO : r;
}

static int apply(Reason *ret_reason)
{
	_cleanup_free_ char *is = NULL, *wanted = NULL;
	RecordKept kept;
	int r;

	record_kept("", &kept);
	r = file_read_at(AT_FDCWD, RETENTION_FILE, 0, 4096, &is, NULL);
	if (r < 0 && r != -ENOENT)
		return reason_set(ret_reason, r, RETENTION_FILE ": %s", strerror(-r));
	if (record_kept_as_shipped(&kept)) {
		if (!is)
			return 0;
		if (unlink(RETENTION_FILE) < 0)
			return reason_set(ret_reason, -errno, RETENTION_FILE ": %s", strerror(errno));
		return restart_journal(ret_reason);
	}
	wanted = record_kept_text(&kept);
	if (!wanted)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (str_equal(is, wanted))
		return 0;
	if (mkdir(RETENTION_FOLDER, 0755) < 0 && errno != EEXIST)
		return reason_set(ret_reason, -errno, RETENTION_FOLDER ": %s", strerror(errno));
	r = file_replace_at(AT_FDCWD, RETENTION_FILE, wanted, strlen(wanted), 0644);
	if (r < 0)
		return reason_set(ret_reason, r, RETENTION_FILE ": %s", strerror(-r));
	return restart_journal(ret_reason);
}

void retention_apply(void)
{
	Reason reason = { "" };

	if (apply(&reason) < 0)
		(void)fprintf(stderr, "creelctl: how long the record is kept did not change: %s\n", reason.text);
}

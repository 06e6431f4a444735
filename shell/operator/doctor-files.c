/* SPDX-License-Identifier: MIT */
/* Files: what was installed, the policies, where agents can write, and the record. */
#include "shell/operator/doctor.h"
#include "shell/operator/retention.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <linux/quota.h>
#include <string.h>
#include <sys/quota.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#define INSTALLED "/var/lib/creel/installed"
#define INSTALLED_MAX 512U
#define RECORD_CONF "journald@creel.conf.d/creel.conf"
#define RECORD_SOCKET "/run/systemd/journal.creel/socket"

/* ---- what was installed ---- */

/* Splits "HASH PATH" lines in place. Returns how many. */
static size_t split_list(char *text, char *hashes[static INSTALLED_MAX], const char *paths[static INSTALLED_MAX])
{
	size_t n = 0;
	char *line;

	while (n < INSTALLED_MAX && (line = strsep(&text, "\n"))) {
		char *space = strchr(line, ' ');

		if (!space || space[1] != '/')
			continue;
		*space = '\0';
		hashes[n] = line;
		paths[n++] = space + 1;
	}
	return n;
}

/* What differs: configuration below /etc may be the operator's own. `output`: sha256sum's, a line a file. */
static void compare_hashes(const char *output, char *hashes[], const char *paths[], size_t n, Finding *ret)
{
	size_t edited = 0;

	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *line = str_format("%s  %s\n", hashes[i], paths[i]);

		if (!line)
			return finding_error(ret, -ENOMEM, INSTALLED);
		if (strstr(output, line))
			continue;
		if (strncmp(paths[i], "/etc/", strlen("/etc/")) != 0 || access(paths[i], F_OK) < 0)
			return finding_set(ret, DOCTOR_MISSING, "%.300s is not what was installed", paths[i]);
		edited++;
	}
	finding_set(ret, DOCTOR_OK, "%zu files as installed, %zu in /etc edited here", n - edited, edited);
}

static void check_installed(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static char *hashes[INSTALLED_MAX];
	static const char *argv[INSTALLED_MAX + 3] = { "/usr/bin/sha256sum", "--" };
	_cleanup_free_ char *list = NULL, *output = NULL;
	Reason reason = { "" };
	size_t n;
	int r;

	r = look_read(doctor, INSTALLED, 256U * 1024, &list);
	if (r == -ENOENT)
		return finding_set(ret, DOCTOR_DEGRADED, "nobody noted what was installed (%s)", INSTALLED);
	if (r < 0)
		return finding_error(ret, r, INSTALLED);
	n = split_list(list, hashes, argv + 2);
	if (!n)
		return finding_set(ret, DOCTOR_DEGRADED, "%s is empty", INSTALLED);
	argv[2 + n] = NULL;
	r = command_output(argv, 2 * DOCTOR_PATIENCE, &output, &reason);
	if (r < 0)
		return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
	compare_hashes(output, hashes, argv + 2, n, ret);
}

/* ---- policies ---- */

static void check_defaults(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	if (!doctor->defaults)
		return finding_set(ret, DOCTOR_MISSING, "no agent can log in: %.400s", doctor->error.text);
	finding_set(ret, DOCTOR_OK, "%s/creel.conf is good", POLICY_DIR);
}

/* Files that are no agent's policy, and policies without a user: the generator skips both. */
static void check_names(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_strlist_ StrList names = { 0 }, odd = { 0 };
	int r;

	r = agents_list(doctor->root, &names, &odd);
	if (r < 0)
		return finding_error(ret, r, POLICY_DIR "/agents");
	if (odd.n)
		return finding_set(ret, DOCTOR_DEGRADED, "%s/agents/%.200s.conf is not named after an agent",
			POLICY_DIR, odd.items[0]);
	finding_set(ret, DOCTOR_OK, "%zu policy files", names.n);
}

static void check_policy_folders(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const folders[] = { POLICY_DIR, POLICY_DIR "/agents", POLICY_MARK_DIR, POLICY_PROFILE_DIR };

	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		struct stat st;
		int r = look_stat(doctor, folders[i], &st);

		if (r < 0)
			return finding_error(ret, r, folders[i]);
		if (!S_ISDIR(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
			return finding_set(ret, DOCTOR_MISSING, "%s: mode %04o, owner %u: others can change policies",
				folders[i], st.st_mode & 07777, st.st_uid);
	}
	finding_set(ret, DOCTOR_OK, "root's alone to change");
}

/* ---- where agents can write ---- */

/* quotactl_fd(2), Linux 5.14: needs no device node. */
static bool quota_is_on(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uint32_t format = 0;
	long r;

	if (fd < 0)
		return false;
	r = syscall(SYS_quotactl_fd, fd, QCMD(Q_GETFMT, USRQUOTA), 0, &format);
	(void)fd_close(fd);
	return r == 0;
}

/* Memory: its pages count for the slice of who wrote them, or the kernel bounds it itself. */
static bool is_memory(const char *type)
{
	static const char *const types[] = { "tmpfs", "devtmpfs", "mqueue", "ramfs", "proc", "sysfs", "cgroup2",
		"devpts", "bpf", "securityfs", "debugfs", "tracefs", "configfs", "fusectl", "pstore", "hugetlbfs",
		"binfmt_misc", "autofs", "efivarfs", "rpc_pipefs", "nsfs" };

	for (size_t i = 0; i < ELEMENTSOF(types); i++)
		if (strcmp(types[i], type) == 0)
			return true;
	return false;
}

/* The root has /tmp, /var/tmp and homes; another one counts when its top is open to all, or is where homes are. */
static bool is_agents(const char *point)
{
	static const char *const places[] = { "/", "/home", "/tmp", "/var", "/var/tmp" };
	struct stat st;

	for (size_t i = 0; i < ELEMENTSOF(places); i++)
		if (strcmp(places[i], point) == 0)
			return true;
	return strncmp(point, "/home/", strlen("/home/")) == 0 || (lstat(point, &st) == 0 && (st.st_mode & 0002));
}

static void check_bounded(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/mountinfo", "re");
	char line[4096], open_ones[300] = "";
	size_t n = 0, used = 0;

	if (!file)
		return finding_error(ret, -errno, "/proc/self/mountinfo");
	while (fgets(line, sizeof(line), file)) {
		char point[1024], options[256], type[64];
		const char *tail = strstr(line, " - ");

		if (!tail || sscanf(line, "%*s %*s %*s %*s %1023s %255s", point, options) != 2 ||
			sscanf(tail, " - %63s", type) != 1)
			continue;
		if (!look_word(options, "rw") || is_memory(type) || !is_agents(point))
			continue;
		n++;
		if (!quota_is_on(point) && used < sizeof(open_ones))
			used += (size_t)snprintf(
				open_ones + used, sizeof(open_ones) - used, "%s%s (%s)", used ? ", " : "", point, type);
	}
	if (used)
		return finding_set(
			ret, DOCTOR_DEGRADED, "without user quotas, so that an agent can fill it: %s", open_ones);
	finding_set(ret, DOCTOR_OK, "user quotas on %zu file systems", n);
}

/* ---- the record ---- */

static void check_record_socket(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct stat st;
	gid_t front = 0;
	int r = look_group(doctor, "creel-sshd", &front);

	if (r < 0)
		return finding_error(ret, r, "group creel-sshd");
	r = look_stat(doctor, RECORD_SOCKET, &st);
	if (r < 0)
		return finding_error(ret, r, RECORD_SOCKET);
	if ((st.st_mode & 0007) || st.st_uid != 0 || st.st_gid != front)
		return finding_set(ret, DOCTOR_MISSING, "%s: mode %04o, owner %u, group %u: others can write records",
			RECORD_SOCKET, st.st_mode & 0777, st.st_uid, st.st_gid);
	finding_set(ret, DOCTOR_OK, "root and the front write");
}

/* As long as the policies say now? In how much room is the disk's matter as well, which may have grown since. */
static bool is_of_policies(Doctor *doctor, const RecordKept *kept)
{
	_cleanup_free_ char *is = NULL, *wanted = record_kept_text(kept);
	int r = look_read(doctor, RETENTION_FILE, 4096, &is);
	const char *room = wanted ? strstr(wanted, "SystemMaxUse=") : NULL;

	if (r == -ENOENT)
		return record_kept_as_shipped(&(RecordKept){ .usec = kept->usec, .size = RECORD_SIZE });
	return r == 0 && room && strncmp(is, wanted, (size_t)(room - wanted)) == 0;
}

/* journald reads one drop-in of a name, the first of these folders, and all others behind it; then the last setting holds. */
static void check_record_kept(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	static const char *const folders[] = { "/etc/systemd", "/run/systemd", "/usr/local/lib/systemd" };
	_cleanup_free_ char *text = NULL;
	RecordKept kept;
	char size[24];
	int r;

	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		_cleanup_free_ char *path = str_format("%s%s/journald@creel.conf.d", doctor->root, folders[i]);
		_cleanup_closedir_ DIR *dir = path ? opendir(path) : NULL;
		const struct dirent *entry;

		while (dir && (entry = readdir(dir)))
			if (entry->d_name[0] != '.' && (i > 0 || strcmp(entry->d_name, RETENTION_NAME) != 0))
				return finding_set(ret, DOCTOR_DEGRADED,
					"%s/journald@creel.conf.d/%.100s changes how the record is kept", folders[i],
					entry->d_name);
	}
	r = look_read(doctor, "/usr/lib/systemd/" RECORD_CONF, 64U * 1024, &text);
	if (r < 0)
		return finding_error(ret, r, "/usr/lib/systemd/" RECORD_CONF);
	if (!strstr(text, "\nStorage=persistent\n") || !strstr(text, "\nMaxRetentionSec="))
		return finding_set(ret, DOCTOR_MISSING, "/usr/lib/systemd/%s says nothing of how long", RECORD_CONF);
	record_kept(doctor->root, &kept);
	if (!is_of_policies(doctor, &kept)) {
		finding_remedy(ret, "creelctl policy apply");
		return finding_set(ret, DOCTOR_DEGRADED, RETENTION_FILE " is not what the policies say");
	}
	finding_set(ret, DOCTOR_OK, "%llu days, in %s%s", (unsigned long long)(kept.usec / 86400000000),
		str_size(kept.size, size, sizeof(size)),
		kept.wanted > kept.size ? ": less, where all agents write as much as they may" : "");
}

/*
 * The folder comes with the journal's first start, which is the first entry: of a machine that nobody logged in to, nothing is lost. False
 * where the journal runs, or failed, without it.
 */
static bool record_is_to_come(Doctor *doctor)
{
	_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
	Reason reason;

	return *doctor->root || (look_unit(doctor, "systemd-journald@creel.service", &facts, &reason) >= 0 &&
					str_equal(facts.active, "inactive"));
}

static void check_record_persistent(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	char id[64], path[128];
	struct stat st;
	int r = look_get(doctor, "/etc/machine-id", id, sizeof(id));

	if (r < 0)
		return finding_error(ret, r, "/etc/machine-id");
	(void)snprintf(path, sizeof(path), "/var/log/journal/%.40s.creel", id);
	r = look_stat(doctor, path, &st);
	if (r == -ENOENT && record_is_to_come(doctor))
		return finding_set(ret, DOCTOR_OK, "nothing is recorded so far");
	if (r < 0)
		return finding_error(ret, r, path);
	if (st.st_uid != 0 || (st.st_mode & 0002))
		return finding_set(ret, DOCTOR_MISSING, "%s: mode %04o, owner %u", path, st.st_mode & 07777, st.st_uid);
	finding_set(ret, DOCTOR_OK, "%s", path);
}

/* journald keeps less, and leaves a part of the disk free, when there is not enough. */
static void check_record_space(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_free_ char *path = str_format("%s/var/log", doctor->root);
	struct statvfs st;
	char left[24];
	uint64_t bytes;

	if (!path || statvfs(path, &st) < 0)
		return finding_error(ret, path ? -errno : -ENOMEM, "/var/log");
	bytes = (uint64_t)st.f_bavail * st.f_frsize;
	(void)str_size(bytes, left, sizeof(left));
	if (bytes < RECORD_SIZE / 10)
		return finding_set(ret, DOCTOR_MISSING, "%s left: records are being lost", left);
	if (bytes < RECORD_SIZE)
		return finding_set(ret, DOCTOR_DEGRADED, "%s left, and the record may need 1G", left);
	if (st.f_files && st.f_favail < st.f_files / 100)
		return finding_set(ret, DOCTOR_DEGRADED, "%llu inodes left", (unsigned long long)st.f_favail);
	finding_set(ret, DOCTOR_OK, "%s left", left);
}

const DoctorCheck doctor_files[] = {
	{ "files.installed", "programs and units are those that were installed", "run provision.sh again", NEEDS_LIVE,
		check_installed },
	{ "policy.defaults", "creel.conf can be read", "correct it, then creelctl policy apply", 0, check_defaults },
	{ "policy.names", "each policy is named after an agent", "rename or remove it, then creelctl policy apply", 0,
		check_names },
	{ "policy.folders", "only root changes policies", "chown root:root and chmod 0755 the folder", 0,
		check_policy_folders },
	{ "files.bounded", "agents can fill no disk", "user quotas: see creel.conf(5), [limits] disk", NEEDS_LIVE,
		check_bounded },
	{ "record.socket", "agents cannot write records", "systemctl restart systemd-journald@creel.socket", 0,
		check_record_socket },
	{ "record.kept", "records are kept as the policies say", "remove it, if it is not your own wish", 0,
		check_record_kept },
	{ "record.persistent", "records outlive a restart",
		"mkdir /var/log/journal, then journalctl --namespace=creel --flush", 0, check_record_persistent },
	{ "record.space", "there is room for the record", "free some of the disk that /var/log is on", 0,
		check_record_space },
	{ NULL },
};

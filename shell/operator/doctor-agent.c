/* SPDX-License-Identifier: MIT */
/*
 * One agent: whether what its policy says is what holds, and whether something lets it past.
 *
 * Its home is the agent's: nothing in it is opened for reading, no link is followed, only owners and modes are looked at.
 */
#include "shell/operator/doctor.h"
#include "shell/base/file.h"
#include "shell/bus/bus.h"
#include "shell/policy/slice.h"

#include <fcntl.h>
#include <grp.h>
#include <string.h>

#define CGROUPS "/sys/fs/cgroup/user.slice"
#define GENERATED "/run/systemd/generator"
#define LOGIN_SHELL CREEL_LIBEXECDIR "/creel-shell"
#define UNIT_MAX 64U

/* ---- who it is ---- */

static void check_user(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	if (!agent->agent.has_user)
		return finding_set(ret, DOCTOR_MISSING, "there is no such user");
	if (!agent_uid_valid(&agent->agent))
		return finding_set(ret, DOCTOR_MISSING, "uid %u is not an agent's", agent->agent.uid);
	finding_set(ret, DOCTOR_OK, "uid %u%s", agent->agent.uid, agent->agent.locked ? ", locked" : "");
}

static void check_policy(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	if (!agent->policy)
		return finding_set(ret, DOCTOR_MISSING, "every login is refused: %.400s",
			agent->agent.has_file ? agent->error.text : "it has no policy file any more");
	finding_set(ret, DOCTOR_OK, "profile %s", agent->policy->profile);
}

static void check_mark(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	if (!agent->agent.uid_marked)
		return finding_set(ret, DOCTOR_DEGRADED,
			"uid %u is not remembered as this agent: without its file it would be without limits",
			agent->agent.uid);
	finding_set(ret, DOCTOR_OK, "remembered");
}

static void check_unenforced(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	const char *section, *key, *origin;
	char *value;
	bool enforced;

	for (size_t i = 0; policy_row(agent->policy, i, &section, &key, &value, &origin, &enforced); i++) {
		free(value);
		if (!enforced && strncmp(origin, "built-in", strlen("built-in")) != 0 &&
			strncmp(origin, POLICY_PROFILE_DIR, strlen(POLICY_PROFILE_DIR)) != 0) {
			finding_remedy(ret, "take it out, or do without what it asks for: %.200s", origin);
			return finding_set(ret, DOCTOR_DEGRADED, "[%s] %s is set, and this version does not enforce it",
				section, key);
		}
	}
	finding_set(ret, DOCTOR_OK, "all that its files set is enforced");
}

/* What gives an agent more than a user has. The reason is for the operator. */
static const struct {
	const char *name, *reason;
} harmful_groups[] = {
	{ "root", "owns the system's files" },
	{ "sudo", "may become root" },
	{ "wheel", "may become root" },
	{ "docker", "is root by way of a container" },
	{ "podman", "is root by way of a container" },
	{ "lxd", "is root by way of a container" },
	{ "incus", "starts containers" },
	{ "incus-admin", "is root by way of a container" },
	{ "libvirt", "is root by way of a virtual machine" },
	{ "kvm", "starts virtual machines" },
	{ "disk", "reads and writes every file by the disk" },
	{ "kmem", "reads the kernel's memory" },
	{ "shadow", "reads password hashes" },
	{ "adm", "reads the system's logs" },
	{ "systemd-journal", "reads the system's journal" },
	{ "staff", "writes in /usr/local" },
	{ "tty", "writes on others' terminals" },
	{ "input", "reads keyboards" },
	{ "netdev", "changes the network" },
	{ "plugdev", "mounts disks" },
	{ FRONT_USER, "speaks with every keeper" },
};

static const char *group_harm(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(harmful_groups); i++)
		if (strcmp(harmful_groups[i].name, name) == 0)
			return harmful_groups[i].reason;
	return NULL;
}

static void check_groups(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_free_ char *path = str_format("%s/etc/group", doctor->root);
	_cleanup_fclose_ FILE *file = path ? fopen(path, "re") : NULL;
	const struct group *entry;
	bool is_among = false;
	size_t n = 0;

	if (!file)
		return finding_error(ret, path ? -errno : -ENOMEM, "/etc/group");
	while ((entry = fgetgrent(file))) {
		bool member = entry->gr_gid == agent->agent.gid;

		for (char **name = entry->gr_mem; *name && !member; name++)
			member = strcmp(*name, agent->agent.name) == 0;
		if (!member)
			continue;
		n++;
		is_among = is_among || strcmp(entry->gr_name, AGENTS_GROUP) == 0;
		if (!group_harm(entry->gr_name))
			continue;
		finding_remedy(ret, "gpasswd -d %s %s (or usermod -g), then creelctl agent lock, and end what runs",
			agent->agent.name, entry->gr_name);
		return finding_set(ret, DOCTOR_MISSING, "group %s %s", entry->gr_name, group_harm(entry->gr_name));
	}
	if (!is_among) {
		finding_remedy(ret, "usermod -aG %s %s", AGENTS_GROUP, agent->agent.name);
		return finding_set(ret, DOCTOR_MISSING, "not in %s: the system bus answers it", AGENTS_GROUP);
	}
	finding_set(ret, DOCTOR_OK, "%zu, none that gives rights", n);
}

static void check_sudo(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	const char *const argv[] = { "/usr/bin/sudo", "-n", "-l", "-U", agent->agent.name, NULL };
	_cleanup_free_ char *output = NULL;
	Reason reason = { "" };
	int r;

	if (access(argv[0], X_OK) < 0)
		return finding_set(ret, DOCTOR_OK, "no sudo here");
	r = command_output(argv, DOCTOR_PATIENCE, &output, &reason);
	if (r < 0)
		return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
	if (!strstr(output, "is not allowed to run sudo"))
		return finding_set(ret, DOCTOR_MISSING, "sudo lets it run commands");
	finding_set(ret, DOCTOR_OK, "sudo refuses it");
}

/* ---- what is its own ---- */

static void check_home(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct stat st;
	int r = look_stat(doctor, agent->agent.home, &st);

	if (r < 0)
		return finding_error(ret, r, agent->agent.home);
	if (!S_ISDIR(st.st_mode) || st.st_uid != agent->agent.uid)
		return finding_set(
			ret, DOCTOR_MISSING, "%.200s is not its folder: owner %u", agent->agent.home, st.st_uid);
	if (st.st_mode & 0077) {
		finding_remedy(ret, "chmod 0700 %.200s", agent->agent.home);
		return finding_set(ret, DOCTOR_DEGRADED, "%.200s: mode %04o: other agents can look in",
			agent->agent.home, st.st_mode & 07777);
	}
	finding_set(ret, DOCTOR_OK, "%.200s, its own alone", agent->agent.home);
}

/*
 * What doors that are not creel-sshd's execute. Where creel-shell is installed it must be that, which confines and then
 * becomes the policy's shell.
 */
static void check_shell(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	struct stat st;
	bool confines = look_stat(doctor, LOGIN_SHELL, &st) == 0;
	const char *wanted = confines ? LOGIN_SHELL : agent->policy->shell;

	if (strcmp(agent->agent.shell, wanted) != 0) {
		finding_remedy(ret, "usermod -s %.200s %s", wanted, agent->agent.name);
		return finding_set(ret, DOCTOR_DEGRADED, "%.200s instead of %.200s%s", agent->agent.shell, wanted,
			confines ? ": other doors do not confine it" : ", which the policy says");
	}
	if (!*doctor->root && access(agent->policy->shell, X_OK) < 0)
		return finding_set(ret, DOCTOR_MISSING, "%.200s: %s", agent->policy->shell, strerror(errno));
	finding_set(ret, DOCTOR_OK, "%.200s", agent->agent.shell);
}

/* A step down without following anything. Returns 1 when it is fit to be trusted with keys, else 0 or a negative errno. */
static int step_down(int *fd, const char *name, uid_t uid, mode_t type, char *why, size_t size)
{
	int next = openat(*fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (next < 0)
		return -errno;
	(void)fd_close(*fd);
	*fd = next;
	if (fstat(next, &st) < 0)
		return -errno;
	if ((st.st_mode & S_IFMT) != type || (st.st_uid != uid && st.st_uid != 0) || (st.st_mode & 022)) {
		(void)snprintf(why, size, "%s has mode %04o and owner %u: its keys count for nothing", name,
			st.st_mode & 07777, st.st_uid);
		return 0;
	}
	return type != S_IFREG || st.st_size > 0 ? 1 : -ENODATA;
}

static int look_home_keys(const Doctor *doctor, const Agent *agent, char *why, size_t size)
{
	_cleanup_free_ char *home = str_format("%s%s", doctor->root, agent->home);
	_cleanup_close_ int fd = home ? open(home, O_PATH | O_NOFOLLOW | O_DIRECTORY | O_CLOEXEC) : -1;
	int r;

	if (fd < 0)
		return -errno;
	r = step_down(&fd, ".", agent->uid, S_IFDIR, why, size);
	if (r > 0)
		r = step_down(&fd, ".ssh", agent->uid, S_IFDIR, why, size);
	if (r > 0)
		r = step_down(&fd, "authorized_keys", agent->uid, S_IFREG, why, size);
	return r;
}

static void check_keys(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	KeySource source = agent->policy->keys;
	char why[200] = "", path[128];
	struct stat st;
	int r = -ENOENT;

	(void)snprintf(path, sizeof(path), "%s/agents/%s.keys", POLICY_DIR, agent->agent.name);
	if (source & KEYS_HOME) {
		r = look_home_keys(doctor, &agent->agent, why, sizeof(why));
		if (r == 0)
			return finding_set(ret, DOCTOR_MISSING, "%s", why);
		if (r < 0 && r != -ENOENT && r != -ENODATA)
			return finding_error(ret, r, "~/.ssh/authorized_keys");
	}
	if (source & KEYS_POLICY && look_stat(doctor, path, &st) == 0) {
		if (!S_ISREG(st.st_mode) || st.st_uid != 0 || (st.st_mode & 022))
			return finding_set(ret, DOCTOR_MISSING, "%s: mode %04o, owner %u: its keys count for nothing",
				path, st.st_mode & 07777, st.st_uid);
		if (st.st_size > 0)
			r = 1;
	}
	if (r <= 0)
		return finding_set(ret, DOCTOR_DEGRADED, "no key: nobody can log in (agent.keys = %s)",
			source == KEYS_HOME     ? "home"
			: source == KEYS_POLICY ? "policy"
						: "both");
	finding_set(ret, DOCTOR_OK, "there");
}

/* ---- what holds it ---- */

static const struct {
	const char *prefix, *suffix;
} agent_units[] = {
	{ "user-", ".slice" },
	{ "user@", ".service" },
	{ "creel-leaves@", ".service" },
	{ "creel-rescue@", ".service" },
	{ "creel-keeper@", ".socket" },
	{ "creel-keeper@", ".service" },
};

static const char *unit_name(size_t i, uid_t uid, char *buffer)
{
	(void)snprintf(buffer, UNIT_MAX, "%s%u%s", agent_units[i].prefix, uid, agent_units[i].suffix);
	return buffer;
}

static void check_units(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(agent_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		char unit[UNIT_MAX];
		Reason reason;

		if (look_unit(doctor, unit_name(i, agent->agent.uid, unit), &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		if (strcmp(facts.load, "loaded") != 0)
			return finding_set(ret, DOCTOR_MISSING, "%s is %s", unit, facts.load);
		if (*facts.fragment && !look_shipped(facts.fragment))
			return finding_set(ret, DOCTOR_DEGRADED, "%s is replaced by %.300s", unit, facts.fragment);
		if (strcmp(facts.active, "active") != 0)
			return finding_set(ret, DOCTOR_MISSING, "%s is %s", unit, facts.active);
	}
	finding_set(ret, DOCTOR_OK, "slice, user manager, leaves, rescue leaf and keeper run");
}

static void check_drop_ins(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	for (size_t i = 0; i < ELEMENTSOF(agent_units); i++) {
		_cleanup_(unit_facts_done) UnitFacts facts = { 0 };
		char unit[UNIT_MAX];
		Reason reason;

		if (look_unit(doctor, unit_name(i, agent->agent.uid, unit), &facts, &reason) < 0)
			return finding_set(ret, DOCTOR_UNSEEN, "%s", reason.text);
		for (size_t k = 0; k < facts.drop_ins.n; k++)
			if (!look_shipped(facts.drop_ins.items[k])) {
				finding_remedy(ret, "systemctl revert %s, if it is not your own wish", unit);
				return finding_set(
					ret, DOCTOR_DEGRADED, "%s is changed by %.300s", unit, facts.drop_ins.items[k]);
			}
	}
	finding_set(ret, DOCTOR_OK, "nothing but creel's and the distribution's");
}

static void check_applied(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_close_ int fresh_fd = open(doctor->fresh, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_close_ int loaded_fd = open(GENERATED, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char difference[320];
	int r;

	if (fresh_fd < 0 || loaded_fd < 0)
		return finding_error(ret, -errno, GENERATED);
	r = drift_units(fresh_fd, loaded_fd, agent->agent.uid, difference, sizeof(difference));
	if (r < 0)
		return finding_error(ret, r, GENERATED);
	if (r > 0)
		return finding_set(ret, DOCTOR_DEGRADED, "the policy was edited and not applied: %s", difference);
	finding_set(ret, DOCTOR_OK, "the policy is applied");
}

static void check_slice(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	char folder[96], drop_in[128], difference[400];
	_cleanup_free_ char *path = NULL, *text = NULL;
	_cleanup_close_ int cgroup_fd = -EBADF;
	const Doctor here = { .root = "" };
	int r;

	(void)snprintf(folder, sizeof(folder), CGROUPS "/user-%u.slice", agent->agent.uid);
	(void)snprintf(drop_in, sizeof(drop_in), "user-%u.slice.d/50-creel.conf", agent->agent.uid);
	path = str_format("%s/%s", doctor->fresh, drop_in);
	r = path ? look_read(&here, path, 64U * 1024, &text) : -ENOMEM;
	if (r < 0)
		return finding_error(ret, r, drop_in);
	cgroup_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (cgroup_fd < 0)
		return finding_error(ret, -errno, folder);
	r = drift_slice(text, cgroup_fd, difference, sizeof(difference));
	if (r < 0)
		return finding_error(ret, r, drop_in);
	if (r > 0)
		return finding_set(ret, DOCTOR_MISSING, "%s", difference);
	finding_set(ret, DOCTOR_OK, "the kernel's limits are the policy's");
}

/* The process of a unit, whose folder in /proc `ret_fd` is. Returns 0 or a negative errno. */
static int open_main_process(Doctor *doctor, const char *unit, int *ret_fd)
{
	_cleanup_free_ char *path = NULL;
	char folder[32];
	uint32_t pid = 0;
	int fd, r;

	r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);
	if (r >= 0)
		r = sd_bus_get_property_trivial(doctor->bus, "org.freedesktop.systemd1", path,
			"org.freedesktop.systemd1.Service", "MainPID", NULL, 'u', &pid);
	if (r < 0)
		return r;
	if (!pid)
		return -ESRCH;
	(void)snprintf(folder, sizeof(folder), "/proc/%u", pid);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

static void check_manager(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_free_ char *path = NULL, *text = NULL;
	_cleanup_close_ int proc_fd = -EBADF;
	const Doctor here = { .root = "" };
	char unit[UNIT_MAX], difference[400];
	int r;

	(void)snprintf(unit, sizeof(unit), "user@%u.service", agent->agent.uid);
	path = str_format("%s/%s.d/50-creel.conf", doctor->fresh, unit);
	r = path ? look_read(&here, path, 64U * 1024, &text) : -ENOMEM;
	if (r == 0)
		r = open_main_process(doctor, unit, &proc_fd);
	if (r < 0)
		return finding_error(ret, r, unit);
	r = drift_manager(text, proc_fd, difference, sizeof(difference));
	if (r < 0)
		return finding_error(ret, r, unit);
	if (r > 0) {
		finding_remedy(ret, "systemctl restart %s (it ends the agent's services, and starts them again)", unit);
		return finding_set(ret, DOCTOR_DEGRADED, "it was started before the policy changed: %s", difference);
	}
	finding_set(ret, DOCTOR_OK, "its services start with the policy's settings");
}

static void check_keeper(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	char path[64], why[320];
	gid_t front = 0;
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), KEEPER_SOCKET_FORMAT, agent->agent.uid);
	finding_remedy(ret, "systemctl restart creel-keeper@%u.socket creel-keeper@%u.service", agent->agent.uid,
		agent->agent.uid);
	r = look_stat(doctor, path, &st);
	if (r < 0)
		return finding_error(ret, r, path);
	r = look_group(doctor, FRONT_USER, &front);
	if (r < 0)
		return finding_error(ret, r, "group " FRONT_USER);
	if (!S_ISSOCK(st.st_mode) || (st.st_mode & 07777) != 0660 || st.st_uid != agent->agent.uid ||
		st.st_gid != front)
		return finding_set(ret, DOCTOR_MISSING,
			"%s: mode %04o, owner %u, group %u: not the agent's and the front's alone", path,
			st.st_mode & 07777, st.st_uid, st.st_gid);
	r = limits_ask(agent->agent.uid, &reply, why, sizeof(why));
	if (r < 0)
		return finding_set(ret, DOCTOR_MISSING, "it does not answer: %s", why);
	(void)snprintf(path, sizeof(path), "creel.slice/creel-keeper@%u.service", agent->agent.uid);
	if (look_replaced(path) > 0) {
		finding_remedy(ret,
			"wait; or systemctl restart creel-keeper@%u.service (it ends the agent's runs and "
			"interpreters)",
			agent->agent.uid);
		return finding_set(ret, DOCTOR_DEGRADED,
			"answers, and is older than the installed one, which takes over when nothing of the agent's "
			"depends on it");
	}
	finding_set(ret, DOCTOR_OK, "answers");
}

static void check_linger(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	char path[96];
	struct stat st;
	int r;

	(void)snprintf(path, sizeof(path), "/var/lib/systemd/linger/%s", agent->agent.name);
	r = look_stat(doctor, path, &st);
	if (r == -ENOENT) {
		finding_remedy(ret, "loginctl enable-linger %s", agent->agent.name);
		return finding_set(
			ret, DOCTOR_DEGRADED, "its services end with its last login, and do not start at boot");
	}
	if (r < 0)
		return finding_error(ret, r, path);
	finding_set(ret, DOCTOR_OK, "its services live on without a login");
}

/* ---- what escaped ---- */

/*
 * The real uid of a process that lives: a setuid program changes the effective one, and a dead one is nowhere any more. One whose
 * first thread ended looks dead while others of its threads run.
 */
static bool process_uid(int fd, uid_t *ret)
{
	char status[4096], *line;
	unsigned int uid;

	if (file_get_at(fd, "status", status, sizeof(status)) < 0 || strstr(status, "\nState:\tX") ||
		(strstr(status, "\nState:\tZ") && strstr(status, "\nThreads:\t1\n")))
		return false;
	line = strstr(status, "\nUid:");
	if (!line || sscanf(line + 5, "%u", &uid) != 1)
		return false;
	*ret = uid;
	return true;
}

static void check_strays(Doctor *doctor, const DoctorAgent *agent, Finding *ret)
{
	_cleanup_closedir_ DIR *dir = opendir("/proc");
	const struct dirent *entry;
	size_t n = 0;

	if (!dir)
		return finding_error(ret, -errno, "/proc");
	while ((entry = readdir(dir))) {
		char cgroup[512], name[64] = "?";
		_cleanup_close_ int fd = -EBADF;
		uint64_t pid;
		uid_t uid;

		if (str_to_u64(entry->d_name, INT32_MAX, &pid) < 0)
			continue;
		fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (fd < 0 || !process_uid(fd, &uid) || uid != agent->agent.uid ||
			file_get_at(fd, "cgroup", cgroup, sizeof(cgroup)) < 0)
			continue;
		n++;
		if (cgroup_is_agents(cgroup, uid))
			continue;
		(void)!file_get_at(fd, "comm", name, sizeof(name));
		finding_remedy(ret, "kill %s, and find out who started it: its limits did not hold", entry->d_name);
		return finding_set(ret, DOCTOR_MISSING, "process %s (%s) is outside its slice: %.200s", entry->d_name,
			name, cgroup);
	}
	finding_set(ret, DOCTOR_OK, "all %zu processes are in its slice", n);
}

#define APPLY "creelctl policy apply"

const DoctorCheck doctor_agent[] = {
	{ "agent.user", "the unix user is there", "creelctl agent remove clears what is left", 0, check_user },
	{ "agent.policy", "its policy can be read", "correct it (creelctl policy check), then " APPLY, 0,
		check_policy },
	{ "agent.mark", "its uid is remembered", APPLY, NEEDS_USER, check_mark },
	{ "agent.unenforced", "its files ask for nothing that is not enforced", NULL, NEEDS_POLICY, check_unenforced },
	{ "agent.groups", "no group gives it rights", NULL, NEEDS_USER, check_groups },
	{ "agent.sudo", "sudo refuses it", "take its rule out of /etc/sudoers and /etc/sudoers.d",
		NEEDS_USER | NEEDS_ROOT | NEEDS_LIVE, check_sudo },
	{ "agent.home", "its home is its own", "chown it to the agent", NEEDS_USER, check_home },
	{ "agent.shell", "its shell is the policy's", "install it", NEEDS_USER | NEEDS_POLICY, check_shell },
	{ "agent.keys", "a key can log in", "chmod go-w its home, ~/.ssh and the keys; or put a key there",
		NEEDS_USER | NEEDS_POLICY | NEEDS_ROOT, check_keys },
	{ "agent.units", "what it needs runs", "systemctl unmask and revert what was changed, then " APPLY,
		NEEDS_USER | NEEDS_BUS, check_units },
	{ "agent.overridden", "nobody else changed its units", NULL, NEEDS_USER | NEEDS_BUS, check_drop_ins },
	{ "agent.applied", "its policy is in effect", APPLY, NEEDS_USER | NEEDS_FRESH, check_applied },
	{ "agent.slice", "the kernel holds what the policy says", "systemctl daemon-reload; then " APPLY,
		NEEDS_USER | NEEDS_FRESH, check_slice },
	{ "agent.manager", "its services have what the policy says", NULL,
		NEEDS_USER | NEEDS_FRESH | NEEDS_BUS | NEEDS_ROOT, check_manager },
	{ "agent.keeper", "its keeper answers, to the front and to it alone", NULL,
		NEEDS_USER | NEEDS_LIVE | NEEDS_ROOT, check_keeper },
	{ "agent.linger", "its services live on", NULL, NEEDS_USER, check_linger },
	{ "agent.strays", "nothing of it escaped", NULL, NEEDS_USER | NEEDS_LIVE | NEEDS_ROOT, check_strays },
	{ NULL },
};

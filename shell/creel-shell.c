/* SPDX-License-Identifier: MIT */
/*
 * creel-shell: the agent's login shell in passwd(5). For the doors that are not ours - OpenSSH's sshd, su, login - it puts
 * the confinement of a keeper's child on itself and becomes the policy's shell, with the arguments that it was given.
 *
 * It runs as the agent, without any privilege, and is the first program of such a door that does. Nothing of the agent's may
 * lead it astray before the confinement is on: it is linked statically (no LD_PRELOAD, no name service modules), reads
 * /etc/passwd and /etc/creel itself, and looks at no variable of its environment.
 *
 * Limits are pam_creel.so's work, which runs before this does. Where it did not run - somebody took it out of a service, or the
 * module itself is gone - the session lies outside the agent's slice, or lacks the mark of it; both are refused here.
 *
 * A process that is confined already is not confined again, because Landlock stacks 16 layers at most, and because the domain
 * of a second layer could not look into what the first one started. That it is, the kernel says: the process lies in a cgroup
 * in which only a keeper, or the agent's service manager, has anything born, and has a filter and no_new_privs. An agent
 * can have its service manager take a process of its uid from outside, so the filter must be ours.
 */
#include "shell/base/file.h"
#include "shell/base/str.h"
#include "shell/confine/confine.h"
#include "shell/policy/agents.h"
#include "shell/policy/slice.h"

#include <fcntl.h>
#include <linux/major.h>
#include <pwd.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <syslog.h>
#include <termios.h>
#include <unistd.h>

/* As sshd's own, where a session cannot be made. */
#define EXIT_REFUSED 254

#define GROUPS_MAX 256

typedef struct Agent {
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	int n_groups;
	char name[POLICY_NAME_MAX + 1];
	char home[512];
} Agent;

/* The door's user reads it, and the operator. */
static _Noreturn void refuse(const char *what)
{
	(void)dprintf(STDERR_FILENO, "creel-shell: %s\n", what);
	(void)clearenv(); /* syslog(3) would look for a time zone */
	openlog("creel-shell", LOG_PID, LOG_AUTHPRIV);
	syslog(LOG_ERR, "uid %u: %s", (unsigned int)getuid(), what);
	_exit(EXIT_REFUSED);
}

/* From the file itself: what another name service knows is no agent, and asking one loads code. */
static int agent_find(Agent *ret)
{
	_cleanup_fclose_ FILE *file = fopen("/etc/passwd", "re");
	struct passwd *entry;

	if (!file)
		return -errno;
	while ((entry = fgetpwent(file)))
		if (entry->pw_uid == ret->uid) {
			if (!policy_name_valid(entry->pw_name) || strlen(entry->pw_dir) >= sizeof(ret->home))
				return -EINVAL;
			(void)snprintf(ret->name, sizeof(ret->name), "%s", entry->pw_name);
			(void)snprintf(ret->home, sizeof(ret->home), "%s", entry->pw_dir);
			return 0;
		}
	return -ENOENT;
}

static const char *agent_know(Agent *ret)
{
	uid_t effective, saved;
	gid_t effective_group, saved_group;

	if (getresuid(&ret->uid, &effective, &saved) < 0 || getresgid(&ret->gid, &effective_group, &saved_group) < 0 ||
		effective != ret->uid || saved != ret->uid || effective_group != ret->gid || saved_group != ret->gid)
		return "its identity is half another's";
	if (!agent_uid_in_range(ret->uid) || agent_find(ret) < 0)
		return "this user is no agent";
	ret->n_groups = getgroups(GROUPS_MAX, ret->groups);
	return ret->n_groups < 0 ? "it has too many groups" : NULL;
}

/* The cgroup, without a line's end; "" when it cannot be told. */
static void cgroup_read(char *ret, size_t size)
{
	if (file_get_at(AT_FDCWD, "/proc/self/cgroup", ret, size) < 0)
		ret[0] = '\0';
}

/* A door's leaf is called otherwise: what it holds was not born there. */
static bool in_born_leaf(const char *cgroup, uid_t uid)
{
	return cgroup_in_unit(cgroup, uid, "user") ||
	       (strstr(cgroup, "/exec-") &&
		       (cgroup_in_unit(cgroup, uid, "creel-leaves") || cgroup_in_rescue(cgroup, uid)));
}

/*
 * pam_creel.so ran to its end: the last that it does is to set this score, and whoever is born or started as the agent elsewhere
 * has it as well. Nobody has it by chance, and that an agent can set it is no matter: nothing of the agent's ran yet.
 */
static bool passed_pam(void)
{
	char text[16];

	return file_get_at(AT_FDCWD, "/proc/self/oom_score_adj", text, sizeof(text)) == 0 &&
	       atoi(text) >= AGENT_OOM_SCORE_ADJUST;
}

/* And by our filter: it alone says that there is no openat2 (shell/confine/calls.c), and it is the last that is put on. */
static bool is_filtered(void)
{
	_cleanup_free_ char *status = NULL;

	return prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) == 1 &&
	       file_read_at(AT_FDCWD, "/proc/self/status", 0, 64 * 1024, &status, NULL) == 0 &&
	       strstr(status, "\nSeccomp:\t2\n") && syscall(SYS_openat2, -1, NULL, NULL, 0) < 0 && errno == ENOSYS;
}

/* Whoever made the terminal for the agent gave it the device: login(1), sshd(8), sudo(8) with use_pty. */
static bool owns_terminal(int tty, uid_t uid)
{
	unsigned int device;
	struct stat st;
	char path[48];

	if (ioctl(tty, TIOCGDEV, &device) < 0)
		return false;
	if (major(device) == UNIX98_PTY_SLAVE_MAJOR)
		(void)snprintf(path, sizeof(path), "/dev/pts/%u", minor(device));
	else
		(void)snprintf(path, sizeof(path), "/dev/char/%u:%u", major(device), minor(device));
	return stat(path, &st) == 0 && S_ISCHR(st.st_mode) && st.st_rdev == device && st.st_uid == uid;
}

/* Who made it in the agent's name began a session there: su(1) with --pty, screen(1). */
static bool leads_session(uid_t uid)
{
	_cleanup_free_ char *leader = str_format("/proc/%d", (int)getsid(0));
	struct stat st;

	return leader && stat(leader, &st) == 0 && st.st_uid == uid;
}

/*
 * su(1) and sudo(8) may leave the agent on the terminal of whoever called them, where what stays behind reads what is typed
 * later.
 */
static bool on_terminal_of_another(uid_t uid)
{
	_cleanup_close_ int tty = open("/dev/tty", O_RDONLY | O_NOCTTY | O_NONBLOCK | O_CLOEXEC);

	if (tty < 0 && errno != ENXIO) /* there may be one: ENXIO alone says that there is none */
		return true;
	for (int fd = 0; fd <= 2; fd++)
		if (isatty(fd) && tcgetsid(fd) != getsid(0))
			return true;
	return tty >= 0 && !owns_terminal(tty, uid) && !leads_session(uid);
}

static void confine(const Agent *agent, const Policy *policy)
{
	const ConfinementRequest request = {
		.policy = policy,
		.uid = agent->uid,
		.gid = agent->gid,
		.groups = agent->groups,
		.n_groups = (size_t)agent->n_groups,
		.home = agent->home,
	};
	_cleanup_(confinement_done) Confinement confinement = CONFINEMENT_NONE;
	PolicyError error = { "" };
	const char *step = "";
	char line[sizeof(error.text) + 64];
	int r;

	r = confinement_prepare(&request, &confinement, &error);
	if (r < 0)
		refuse(error.text);
	r = confinement_apply_own(&confinement, &step);
	if (r < 0) {
		(void)snprintf(line, sizeof(line), "%s: %s", step, strerror(-r));
		refuse(line);
	}
	confinement_done(&confinement);
}

/* "-creel-shell" becomes "-bash": a login shell stays one. */
static char *shell_name(const char *shell, const char *called)
{
	const char *base = strrchr(shell, '/');

	return str_format("%s%s", called && *called == '-' ? "-" : "", base ? base + 1 : shell);
}

int main(int argc, char **argv)
{
	_cleanup_(policy_freep) Policy *policy = NULL;
	PolicyError error = { "" };
	const char *fault;
	Agent agent;
	char line[512], cgroup[1024];

	if (argc < 1)
		return EXIT_REFUSED;
	fault = agent_know(&agent);
	if (fault)
		refuse(fault);
	if (policy_load("", agent.name, &policy, &error) < 0)
		refuse(error.text);
	cgroup_read(cgroup, sizeof(cgroup));
	if (!cgroup_is_agents(cgroup, agent.uid) || !passed_pam())
		refuse("this session lies outside the agent's limits: its PAM service lacks pam_creel.so");
	if (on_terminal_of_another(agent.uid))
		refuse("this terminal is somebody else's: with su it takes --pty, with sudo the option use_pty");
	if (!(in_born_leaf(cgroup, agent.uid) && is_filtered()))
		confine(&agent, policy);

	/* what programs start when they want a shell is the real one */
	argv[0] = shell_name(policy->shell, argv[0]);
	if (!argv[0] || setenv("SHELL", policy->shell, 1) < 0)
		refuse("out of memory");
	(void)execv(policy->shell, argv);
	(void)snprintf(line, sizeof(line), "%s: %s", policy->shell, strerror(errno));
	refuse(line);
}

/* SPDX-License-Identifier: MIT */
/*
 * pam_creel.so: a session module behind pam_systemd, in every service that opens sessions for people (common-session). Its control
 * is [success=ok ignore=ignore module_unknown=ignore default=bad]: what it says no to is refused, and without it all pass.
 *
 * It runs as root inside sshd, su, login, cron and the like, before any of them becomes the user. For a user who is no agent it
 * does nothing at all, and says so before it asks anything that could fail: a broken creel never keeps the operator out. For
 * an agent it fails closed:
 *
 *   the session has a scope of logind's below the agent's slice (sshd, login at a console): the scope gets the policy's limits of
 *   a session; by the bus, because the next daemon-reload undoes what is written into cgroup files
 *   it has none (su inside a session): the keeper moves this process, and with it all that it starts, into a leaf of
 *   the agent's. For sshd this is a refusal: pam_systemd is `optional` and must have failed
 *
 * Services that start what the user wrote without the user's login shell - cron, at - would pass creel-shell by, and with it
 * the confinement: they are refused. An agent's timers are its service manager's.
 *
 * Both ways the keeper counts the session, writes its begin into the record, watches this process by pidfd, and writes the end
 * when it ends: nothing needs to be told at the close.
 *
 * Whoever is asked has a time limit: a keeper that hangs refuses the login within seconds.
 */
#include "shell/bus/bus.h"
#include "shell/base/file.h"
#include "shell/base/rate.h"
#include "shell/policy/agents.h"
#include "shell/policy/slice.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <syslog.h>
#include <systemd/sd-bus.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>

#define ASK_USEC (10 * UINT64_C(1000000)) /* for one question: an emulated machine under load needs some of it */

#define EXPORTED __attribute__((visibility("default")))

/* What the keeper answers. */
typedef struct Door {
	char session[64];
	uint64_t memory, tasks, cpu; /* of the session; CPU: microseconds a second */
	uint64_t open_files;
} Door;

/*
 * A policy file makes an agent, a mark remembers one (shell/policy/agents.h). A folder that cannot be looked into might hold
 * either, except for who can be no agent by number.
 */
static bool is_agent(const struct passwd *user)
{
	char path[sizeof(POLICY_DIR) + 300];

	if (!agent_uid_in_range(user->pw_uid))
		return false;
	(void)snprintf(path, sizeof(path), POLICY_MARK_DIR "/%u", (unsigned int)user->pw_uid);
	if (access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR))
		return true;
	if (strlen(user->pw_name) > POLICY_NAME_MAX)
		return false;
	(void)snprintf(path, sizeof(path), POLICY_DIR "/agents/%s.conf", user->pw_name);
	return access(path, F_OK) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

/* "session-5.scope" when this process lies in one of logind's below the slice of `uid`. */
static bool own_scope(uid_t uid, char *ret, size_t size)
{
	const char *scope = NULL;
	char cgroup[1024];

	if (file_get_at(AT_FDCWD, "/proc/self/cgroup", cgroup, sizeof(cgroup)) == 0)
		scope = cgroup_session_scope(cgroup, uid);
	if (!scope || strlen(scope) >= size)
		return false;
	(void)snprintf(ret, size, "%s", scope);
	return true;
}

/* ---- asking, within a time ---- */

typedef struct Answer {
	sd_bus_message *reply;
	bool there;
} Answer;

static int on_answer(sd_bus_message *message, void *userdata, sd_bus_error *error)
{
	Answer *answer = userdata;

	answer->reply = sd_bus_message_ref(message);
	answer->there = true;
	return 1;
}

/* sd_bus_call() bounds the answer, but not the handshake before it. */
static int ask(sd_bus *bus, sd_bus_message *question, sd_bus_message **ret)
{
	_cleanup_(sd_bus_slot_unrefp) sd_bus_slot *slot = NULL;
	uint64_t end = clock_monotonic_usec() + ASK_USEC;
	Answer answer = { 0 };
	int r;

	r = sd_bus_call_async(bus, &slot, question, on_answer, &answer, ASK_USEC);
	while (r >= 0 && !answer.there) {
		uint64_t now = clock_monotonic_usec();

		if (now >= end)
			return -ETIMEDOUT;
		r = sd_bus_process(bus, NULL);
		if (r == 0)
			r = sd_bus_wait(bus, end - now);
	}
	if (!answer.there)
		return r;
	*ret = answer.reply;
	return 0;
}

/* Why: the answer's own words, or the errno's. */
static void complain(pam_handle_t *handle, const char *what, int r, sd_bus_message *reply)
{
	const sd_bus_error *error = reply ? sd_bus_message_get_error(reply) : NULL;

	pam_syslog(handle, LOG_ERR, "%s: %s", what, error && error->message ? error->message : strerror(-r));
}

/* ---- the keeper ---- */

static int keeper_reach(uid_t uid, sd_bus **ret)
{
	const struct timeval limit = { .tv_sec = ASK_USEC / 1000000U };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	_cleanup_(sd_bus_unrefp) sd_bus *bus = NULL;
	int r;

	/* a full queue of a listening socket would hold us in connect(2) */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	(void)snprintf(address.sun_path, sizeof(address.sun_path), KEEPER_SOCKET_FORMAT, (unsigned int)uid);
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	r = sd_bus_new(&bus);
	if (r >= 0)
		r = sd_bus_set_fd(bus, fd, fd);
	if (r < 0)
		return r;
	(void)TAKE_FD(fd);
	r = sd_bus_start(bus);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(bus);
	return 0;
}

/* Cut where the keeper would refuse the length; it quotes what it writes down. */
static const char *item(pam_handle_t *handle, int which, char *buffer)
{
	const void *value = NULL;

	(void)snprintf(buffer, KEEPER_DOOR_TEXT_MAX + 1, "%s",
		pam_get_item(handle, which, &value) == PAM_SUCCESS && value ? (const char *)value : "");
	return buffer;
}

static int keeper_adopt(pam_handle_t *handle, uid_t uid, Door *ret)
{
	char service[KEEPER_DOOR_TEXT_MAX + 1], terminal[KEEPER_DOOR_TEXT_MAX + 1], host[KEEPER_DOOR_TEXT_MAX + 1],
		user[KEEPER_DOOR_TEXT_MAX + 1];
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *question = NULL, *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL; /* not flushed: that would wait for who hangs */
	const char *session;
	int r;

	r = keeper_reach(uid, &bus);
	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &question, NULL, KEEPER_OBJECT, KEEPER_INTERFACE, "Adopt");
	if (r >= 0)
		r = sd_bus_message_append(question, "ssss", item(handle, PAM_SERVICE, service),
			item(handle, PAM_TTY, terminal), item(handle, PAM_RHOST, host), item(handle, PAM_RUSER, user));
	if (r >= 0)
		r = ask(bus, question, &reply);
	if (r >= 0 && sd_bus_message_is_method_error(reply, NULL))
		r = -EPERM;
	if (r >= 0)
		r = sd_bus_message_read(
			reply, "stttt", &session, &ret->memory, &ret->tasks, &ret->cpu, &ret->open_files);
	if (r < 0) {
		complain(handle, "the keeper does not take the session", r, reply);
		return r;
	}
	(void)snprintf(ret->session, sizeof(ret->session), "%s", session);
	return 0;
}

/* ---- limits ---- */

static int scope_limit(pam_handle_t *handle, const char *scope, const Door *door)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *question = NULL, *reply = NULL;
	_cleanup_(sd_bus_close_unrefp) sd_bus *bus = NULL; /* not flushed: that would wait for who hangs */
	int r;

	r = sd_bus_open_system(&bus);
	if (r >= 0)
		r = sd_bus_message_new_method_call(bus, &question, "org.freedesktop.systemd1",
			"/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager", "SetUnitProperties");
	/* UINT64_MAX is "infinity" there, too; of the CPU quota a daemon-reload leaves whole percents, rounded down */
	if (r >= 0)
		r = sd_bus_message_append(question, "sba(sv)", scope, 1, 3, "MemoryMax", "t", door->memory, "TasksMax",
			"t", door->tasks, "CPUQuotaPerSecUSec", "t", door->cpu);
	if (r >= 0)
		r = ask(bus, question, &reply);
	if (r >= 0 && sd_bus_message_is_method_error(reply, NULL))
		r = -EPERM;
	if (r < 0)
		complain(handle, "the session's limits cannot be set", r, reply);
	return r;
}

static int score_set(void)
{
	_cleanup_close_ int fd = open("/proc/self/oom_score_adj", O_WRONLY | O_CLOEXEC);
	char score[16];
	int n = snprintf(score, sizeof(score), "%d", AGENT_OOM_SCORE_ADJUST);

	/* root sets it, so that the agent can never go below (proc(5)) */
	return fd < 0 || write(fd, score, (size_t)n) < 0 ? -errno : 0;
}

/*
 * What this process has it keeps: only what it executes cannot get it back. CAP_NET_RAW stays, as for the agent's other
 * processes (shell/confine/confine.c).
 */
static int bounding_set_drop(void)
{
	int there;

	for (int capability = 0; (there = prctl(PR_CAPBSET_READ, capability, 0, 0, 0)) >= 0; capability++)
		if (there && capability != CAP_NET_RAW && prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			return -errno;
	return 0;
}

/*
 * What takes a privilege, of the steps of shell/confine/: the rest is creel-shell's, which runs next. RLIMIT_FSIZE must be,
 * as this process still writes files of the system's that may be large.
 */
static int process_limit(pam_handle_t *handle, const Door *door)
{
	rlim_t files = door->open_files == UINT64_MAX ? RLIM_INFINITY : (rlim_t)door->open_files;
	const struct rlimit open_files = { files, files }, no_core = { 0, 0 };

	if (setrlimit(RLIMIT_CORE, &no_core) == 0 && setrlimit(RLIMIT_NOFILE, &open_files) == 0 && score_set() == 0 &&
		bounding_set_drop() == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0)
		return 0;
	pam_syslog(handle, LOG_ERR, "the limits of the process cannot be set: %s", strerror(errno));
	return -EPERM;
}

/* ---- PAM ---- */

static bool is_service(pam_handle_t *handle, const char *name)
{
	const void *value = NULL;

	return pam_get_item(handle, PAM_SERVICE, &value) == PAM_SUCCESS && value && strcmp(value, name) == 0;
}

/* Those that start the user's login shell, which confines what it becomes; and those by which root acts as the agent. */
static bool is_door(pam_handle_t *handle)
{
	static const char *const doors[] = { "sshd", "login", "remote", "su", "su-l", "runuser", "runuser-l", "sudo",
		"sudo-i" };

	for (size_t i = 0; i < ELEMENTSOF(doors); i++)
		if (is_service(handle, doors[i]))
			return true;
	return false;
}

EXPORTED int pam_sm_open_session(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	char scope[128] = "", variable[96];
	const struct passwd *user;
	const char *name = NULL;
	Door door = { 0 };

	if (pam_get_user(handle, &name, NULL) != PAM_SUCCESS || !name)
		return PAM_IGNORE;
	user = pam_modutil_getpwnam(handle, name);
	if (!user || !is_agent(user))
		return PAM_IGNORE;
	/* the agent's service manager: what it starts lies in its own unit, and is confined there */
	if (is_service(handle, "systemd-user"))
		return PAM_IGNORE;

	if (!is_door(handle)) {
		pam_syslog(handle, LOG_ERR,
			"agent %s: this service runs nothing for agents, who have services and timers of "
			"their own: refused",
			name);
		return PAM_SESSION_ERR;
	}
	if (!own_scope(user->pw_uid, scope, sizeof(scope)) && is_service(handle, "sshd")) {
		pam_syslog(handle, LOG_ERR, "agent %s: no session scope below user-%u.slice: refused", name,
			(unsigned int)user->pw_uid);
		return PAM_SESSION_ERR;
	}
	if (keeper_adopt(handle, user->pw_uid, &door) < 0 || (*scope && scope_limit(handle, scope, &door) < 0) ||
		process_limit(handle, &door) < 0)
		return PAM_SESSION_ERR;
	(void)snprintf(variable, sizeof(variable), "CREEL_SESSION=%s", door.session);
	return pam_putenv(handle, variable) == PAM_SUCCESS ? PAM_SUCCESS : PAM_SESSION_ERR;
}

/* The keeper sees this process end. */
EXPORTED int pam_sm_close_session(pam_handle_t *handle, int flags, int argc, const char **argv)
{
	return PAM_IGNORE;
}

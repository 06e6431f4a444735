/* SPDX-License-Identifier: MIT */
/*
 * creelctl agent remove: nothing of the agent stays but the record.
 *
 * The policy file and the mark are what says that this user is an agent, so they go last: an interrupted removal
 * can be run again, and a user without either is never touched. Files are looked for only when no process of the
 * uid is left that could race with the search. uids come back: the next user may get this one, so whatever
 * could be read or owned by uid alone - files in shared folders, spools, the user's own journal - goes as
 * well, and a home that is kept becomes root's.
 */
#include "shell/operator/keyfile.h"
#include "shell/operator/leftovers.h"
#include "shell/operator/operator.h"
#include "shell/operator/packages.h"
#include "shell/operator/retention.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>

#define FIND "/usr/bin/find"

static int lock_account(const char *name, Reason *ret_reason)
{
	const char *const argv[] = { "/usr/sbin/usermod", "--expiredate", "1", "--", name, NULL };

	return command_run(argv, ret_reason);
}

/* Folders that everybody may write to. */
static const char *const shared_folders[] = { "/tmp", "/var/tmp", "/dev/shm", "/dev/mqueue", "/run/lock" };

/* What a neighbour does in there, now or before, must not keep an agent from being removed. */
static int remove_shared_files(uid_t uid, Reason *ret_reason)
{
	for (size_t i = 0; i < ELEMENTSOF(shared_folders); i++) {
		int r = leftovers_remove(shared_folders[i], uid);

		if (r == -EAGAIN)
			(void)fprintf(stderr,
				"creelctl: %s: somebody moves folders about there; a file of uid %u may be left in "
				"one\n",
				shared_folders[i], uid);
		else if (r < 0)
			return reason_set(ret_reason, r, "%s: %s", shared_folders[i], strerror(-r));
	}
	return 0;
}

static int remove_spools(const char *name, uid_t uid, Reason *ret_reason)
{
	static const char *const folders[] = {
		"/var/spool/cron/crontabs",
		"/var/spool/cron/atjobs",
		"/var/spool/cron/atspool",
	};
	char uid_text[16];
	int r;

	(void)snprintf(uid_text, sizeof(uid_text), "%u", uid);
	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		const char *const argv[] = {
			FIND,
			folders[i],
			"-xdev",
			"-mindepth",
			"1",
			"(",
			"-uid",
			uid_text,
			"-o",
			"-name",
			name,
			")",
			"-delete",
			NULL,
		};

		if (access(folders[i], F_OK) < 0)
			continue;
		r = command_run(argv, ret_reason);
		if (r)
			return r;
	}
	return 0;
}

/* What the agent's own services logged; journald lets go of the files when it rotates them. */
static int remove_journal(uid_t uid, Reason *ret_reason)
{
	static const char *const folders[] = { "/var/log/journal", "/run/log/journal" };
	const char *const rotate[] = { "/usr/bin/journalctl", "--rotate", NULL };
	char live[32], archived[32];
	int r;

	(void)snprintf(live, sizeof(live), "user-%u.journal", uid);
	(void)snprintf(archived, sizeof(archived), "user-%u@*.journal", uid);
	r = command_run(rotate, ret_reason);
	if (r)
		return r;
	for (size_t i = 0; i < ELEMENTSOF(folders); i++) {
		const char *const argv[] = {
			FIND,
			folders[i],
			"-xdev",
			"-type",
			"f",
			"(",
			"-name",
			live,
			"-o",
			"-name",
			archived,
			")",
			"-delete",
			NULL,
		};

		if (access(folders[i], F_OK) < 0)
			continue;
		r = command_run(argv, ret_reason);
		if (r)
			return r;
	}
	return 0;
}

/* Root's and nobody else's: the files keep a uid without a user, behind a door that only root opens. */
static int keep_home(const Agent *agent, Reason *ret_reason)
{
	_cleanup_close_ int fd = open(agent->home, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct stat st;

	if (fd < 0 && errno == ENOENT)
		return 0;
	if (fd < 0 || fstat(fd, &st) < 0)
		return reason_set(ret_reason, -errno, "%s: %s", agent->home, strerror(errno));
	if (st.st_uid != agent->uid)
		return 0; /* not the agent's own: as it is */
	if (fchown(fd, 0, 0) < 0 || fchmod(fd, 0700) < 0)
		return reason_set(ret_reason, -errno, "%s: %s", agent->home, strerror(errno));
	return 0;
}

static int remove_user(const Agent *agent, bool keep, Reason *ret_reason)
{
	const char *const with_home[] = { "/usr/sbin/userdel", "--remove", "--", agent->name, NULL };
	const char *const without[] = { "/usr/sbin/userdel", "--", agent->name, NULL };
	int r;

	if (keep) {
		r = keep_home(agent, ret_reason);
		if (r < 0)
			return r;
	}
	r = command_run(keep ? without : with_home, ret_reason);
	/* userdel also complains about a home that is gone already; what counts is the user */
	return r && getpwnam(agent->name) ? r : 0;
}

static int unlink_quietly(const char *path, Reason *ret_reason)
{
	if (unlink(path) == 0 || errno == ENOENT)
		return 0;
	return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
}

static int remove_files(const Agent *agent, Reason *ret_reason)
{
	_cleanup_free_ char *keys = keyfile_path(agent, false);
	_cleanup_free_ char *principals = str_format("%s/agents/%s.principals", POLICY_DIR, agent->name);
	int r;

	if (!keys || !principals)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = unlink_quietly(keys, ret_reason);
	if (r == 0)
		r = unlink_quietly(principals, ret_reason);
	if (r == 0)
		r = packages_prune(agent->name, NULL, ret_reason);
	if (r < 0)
		return r;
	r = unlink_quietly(agent->file, ret_reason);
	return r < 0 ? r : agent_unmark(agent, ret_reason);
}

/* The user itself goes as well: it is the one that was made an agent. */
static bool agent_removable(const Agent *agent)
{
	return agent_uid_valid(agent) && (agent->has_file || agent->uid_marked);
}

static int remove_agent(const Agent *agent, bool keep, Reason *ret_reason)
{
	int r;

	if (agent_removable(agent)) {
		r = lock_account(agent->name, ret_reason);
		if (r)
			return r;
		r = units_end(agent->name, agent->uid, ret_reason);
		if (r)
			return r;
		r = secrets_forget(agent->uid, ret_reason);
		if (r)
			return r;
		r = remove_spools(agent->name, agent->uid, ret_reason);
		if (r)
			return r;
		r = remove_shared_files(agent->uid, ret_reason);
		if (r)
			return r;
		r = remove_journal(agent->uid, ret_reason);
		if (r)
			return r;
		r = remove_user(agent, keep, ret_reason);
		if (r)
			return r;
	}
	if (agent->has_user) {
		r = units_stopped_set(agent->uid, false, ret_reason);
		if (r)
			return r;
	}
	r = remove_files(agent, ret_reason);
	if (r)
		return r;
	r = enforce_run(ret_reason);
	if (r < 0)
		return r;
	return units_reload(ret_reason);
}

/*
 * A user that was renamed (usermod -l) keeps its uid, its processes and its home, and is an agent by its mark. To take file and mark of
 * the old name away would leave it without limits. Whether it is the same one, or somebody else to whom the uid came, nobody but the
 * operator knows.
 */
static int refuse_renamed(const Agent *agent, Reason *ret_reason)
{
	char other[POLICY_NAME_MAX + 1];
	uid_t uid;
	int r = agent_renamed(agent, &uid, other);

	if (r < 0)
		return reason_set(ret_reason, r, POLICY_MARK_DIR ": %s", strerror(-r));
	if (r == 0 || (agent->has_user && uid == agent->uid && agent->has_file))
		return 0;
	if (agent->has_user && uid == agent->uid)
		return reason_set(ret_reason, -EEXIST,
			"there is no agent `%s`; uid %u was made agent %s: if that is the same one, give it its name "
			"back (usermod -l "
			"%s %s), then remove %s",
			agent->name, uid, other, other, agent->name, other);
	return reason_set(ret_reason, -EEXIST,
		"agent %s: its uid %u is user %s's now: if that is the same one, give it its name back (usermod -l %s "
		"%s); if not, "
		"rm " POLICY_MARK_DIR "/%u; then remove it again",
		agent->name, uid, other, agent->name, other, uid);
}

int agent_remove_main(int argc, char **argv)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	const char *name = NULL;
	Reason reason = { "" };
	bool keep = false;
	const WordOption options[] = { { "--keep-home", .flag = &keep }, { NULL } };

	if (words_parse(argc, argv, options, &name) < 0 || !name)
		return EXIT_USAGE;
	if (agents_lock(&lock_fd, &reason) < 0 || agent_find(name, &agent, &reason) < 0 ||
		refuse_renamed(&agent, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	if (!agent.has_file && !agent.marked) {
		(void)fprintf(stderr, "creelctl: there is no agent `%s`: see creelctl agent list\n", name);
		return EXIT_FAILURE;
	}
	if (agent.has_user && !agent_removable(&agent))
		(void)fprintf(stderr, "creelctl: user %s has uid %u and is no agent: only what %s says of it goes\n",
			name, agent.uid, POLICY_DIR);
	if (remove_agent(&agent, keep, &reason)) {
		(void)fprintf(stderr, "creelctl: %s\ncreelctl: the removal is not complete; it can be run again\n",
			reason.text);
		return EXIT_FAILURE;
	}
	retention_apply();
	(void)printf("agent %s removed%s%s\n", name, keep && agent.home ? "; its home stays, as root's: " : "",
		keep && agent.home ? agent.home : "");
	return EXIT_SUCCESS;
}

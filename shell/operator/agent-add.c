/* SPDX-License-Identifier: MIT */
/*
 * creelctl agent add: all or nothing.
 *
 * Everything that can be judged is judged before anything is written. Then a row of steps, each with its
 * undo; when one fails, or a signal asks to stop, what was done is undone in reverse, the failed step's own
 * half included. The policy file comes first because it is what makes a user an agent: should this process be
 * killed outright, `agent remove` finds the file and finishes the removal. Signals stay blocked and are
 * looked at between the steps.
 */
#include "shell/operator/agent-home.h"
#include "shell/operator/keyfile.h"
#include "shell/operator/operator.h"
#include "shell/operator/retention.h"
#include "shell/base/file.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <time.h>

#define HEAD "# Written by creelctl agent add; see creel.conf(5).\n"

typedef struct Add {
	Agent agent;
	const char *profile, *key_file;
	StrList settings; /* section.key=value, as given */
	char *policy_text, *key_text;
	Policy *policy;
	char *home;
	bool policy_written, keys_written, enforce_needed, reload_needed;
} Add;

static void add_done(Add *add)
{
	agent_done(&add->agent);
	strlist_done(&add->settings);
	free(add->policy_text);
	free(add->key_text);
	free(add->home);
	(void)policy_free(add->policy);
}

/* ---- judging ---- */

static int make_policy_text(Add *add, Reason *ret_reason)
{
	int r = 0;

	add->policy_text = add->profile ? str_format("%s\n[agent]\nprofile = %s\n", HEAD, add->profile) : strdup(HEAD);
	if (!add->policy_text)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	for (size_t i = 0; i < add->settings.n && r == 0; i++)
		r = setting_put(&add->policy_text, add->settings.items[i], ret_reason);
	return r;
}

static int judge_policy(Add *add, Reason *ret_reason)
{
	PolicyText text = { .label = add->agent.file };
	PolicyError error = { "" };
	int r;

	if (add->profile && !policy_name_valid(add->profile))
		return reason_set(ret_reason, -EINVAL, "--profile: not the name of a profile");
	r = make_policy_text(add, ret_reason);
	if (r < 0)
		return r;
	text.text = add->policy_text;
	text.n = strlen(add->policy_text);
	r = policy_load_text("", add->agent.name, NULL, &text, &add->policy, &error);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", error.text);
	if (access(add->policy->shell, X_OK) < 0)
		return reason_set(ret_reason, -errno, "[agent] shell: %s: %s", add->policy->shell, strerror(errno));
	return 0;
}

static int judge(Add *add, const char *name, Reason *ret_reason)
{
	struct stat st;
	int r;

	r = agent_find(name, &add->agent, ret_reason);
	if (r < 0)
		return r;
	if (add->agent.has_file && add->agent.has_user)
		return reason_set(ret_reason, -EEXIST, "there is an agent `%s` already", name);
	if (add->agent.has_file)
		return reason_set(ret_reason, -EEXIST,
			"%s is there already, without a user: `creelctl agent remove %s` clears it", add->agent.file,
			name);
	if (add->agent.marked)
		return reason_set(ret_reason, -EEXIST,
			"there was an agent `%s` whose policy file is gone: put it back, or `creelctl agent remove %s`",
			name, name);
	if (add->agent.has_user)
		return reason_set(ret_reason, -EEXIST, "there is a user `%s` already, who is no agent", name);
	if (getgrnam(name))
		return reason_set(ret_reason, -EEXIST, "there is a group `%s` already", name);
	add->home = str_format("/home/%s", name);
	if (!add->home)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (lstat(add->home, &st) == 0)
		return reason_set(ret_reason, -EEXIST, "%s is there already, and may be somebody's", add->home);
	r = keys_given(add->key_file, &add->key_text, ret_reason);
	return r < 0 ? r : judge_policy(add, ret_reason);
}

/* ---- steps ---- */

static int write_policy(Add *add, Reason *ret_reason)
{
	static const char *const folders[] = { POLICY_DIR, POLICY_DIR "/agents" };
	int r;

	for (size_t i = 0; i < ELEMENTSOF(folders); i++)
		if (mkdir(folders[i], 0755) < 0 && errno != EEXIST)
			return reason_set(ret_reason, -errno, "%s: %s", folders[i], strerror(errno));
	r = file_replace_at(AT_FDCWD, add->agent.file, add->policy_text, strlen(add->policy_text), 0644);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: %s", add->agent.file, strerror(-r));
	add->policy_written = true;
	return 0;
}

/* Where the key counts: in the home, unless the policy looks at the operator's file only. */
static bool key_goes_to_policy(const Add *add)
{
	return !(add->policy->keys & KEYS_HOME);
}

/* A file of keys that is there already is an earlier agent's or the operator's own work: neither is overwritten. */
static int write_policy_keys(Add *add, Reason *ret_reason)
{
	_cleanup_free_ char *path = keyfile_path(&add->agent, false);
	_cleanup_close_ int fd = -EBADF;
	size_t n = strlen(add->key_text);

	if (!key_goes_to_policy(add))
		return 0;
	if (!path)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
	if (fd < 0)
		return reason_set(ret_reason, -errno, "%s: %s", path, strerror(errno));
	add->keys_written = true;
	if (fchmod(fd, 0644) < 0 || write(fd, add->key_text, n) != (ssize_t)n || fsync(fd) < 0)
		return reason_set(ret_reason, errno ? -errno : -EIO, "%s: %s", path, strerror(errno ? errno : EIO));
	return 0;
}

static int remove_policy_keys(Add *add, Reason *ret_reason)
{
	_cleanup_free_ char *path = keyfile_path(&add->agent, false);

	if (!add->keys_written || (path && unlink(path) == 0) || (path && errno == ENOENT))
		return 0;
	return reason_set(ret_reason, path ? -errno : -ENOMEM, "%s", strerror(path ? errno : ENOMEM));
}

static int remove_policy(Add *add, Reason *ret_reason)
{
	if (!add->policy_written || unlink(add->agent.file) == 0 || errno == ENOENT)
		return 0;
	return reason_set(ret_reason, -errno, "%s: %s", add->agent.file, strerror(errno));
}

/* No subordinate ids: an agent that could map other uids would leave its limits by uid. */
static int make_user(Add *add, Reason *ret_reason)
{
	const char *const argv[] = {
		"/usr/sbin/useradd",
		"--create-home",
		"--home-dir",
		add->home,
		"--user-group",
		"--groups",
		AGENTS_GROUP,
		"--shell",
		AGENT_LOGIN_SHELL,
		"-K",
		"HOME_MODE=0700",
		"-K",
		"SUB_UID_COUNT=0",
		"-K",
		"SUB_GID_COUNT=0",
		"--",
		add->agent.name,
		NULL,
	};
	const struct passwd *entry;
	int r;

	r = command_run(argv, ret_reason);
	if (r)
		return r;
	entry = getpwnam(add->agent.name);
	if (!entry)
		return reason_set(ret_reason, -ENOENT, "useradd made no user");
	add->agent.has_user = true;
	add->agent.uid = entry->pw_uid;
	add->agent.gid = entry->pw_gid;
	if (!agent_uid_valid(&add->agent))
		return reason_set(ret_reason, -ERANGE, "useradd chose uid %u, and agents have %u to %u", entry->pw_uid,
			AGENT_UID_MIN, AGENT_UID_MAX);
	return 0;
}

static int mark_agent(Add *add, Reason *ret_reason)
{
	/* of an agent of that uid that was not removed by creelctl */
	int r = secrets_forget(add->agent.uid, ret_reason);

	if (r < 0)
		return r;
	r = mark_set("", add->agent.uid, add->agent.name);
	return r < 0 ? reason_set(ret_reason, r, "%s/%u: %s", POLICY_MARK_DIR, add->agent.uid, strerror(-r)) : 0;
}

static int unmark_agent(Add *add, Reason *ret_reason)
{
	return agent_unmark(&add->agent, ret_reason);
}

/* useradd may fail with the user made and the home not: what counts is what is there. */
static int remove_user(Add *add, Reason *ret_reason)
{
	const char *const argv[] = { "/usr/sbin/userdel", "--remove", "--", add->agent.name, NULL };
	int r;

	if (!getpwnam(add->agent.name))
		return 0;
	r = command_run(argv, ret_reason);
	return r && getpwnam(add->agent.name) ? r : 0;
}

static int fill_home(Add *add, Reason *ret_reason)
{
	const AgentHome home = {
		.agent = &add->agent,
		.path = add->home,
		.workspace = add->policy->workspace,
		.key_text = key_goes_to_policy(add) ? NULL : add->key_text,
	};

	return agent_home_fill(&home, ret_reason);
}

/* Before anything runs as this user, and before the units are written, which depend on what can be enforced. */
static int enforce_policy(Add *add, Reason *ret_reason)
{
	int r;

	add->enforce_needed = true;
	r = enforce_run(ret_reason);
	/* what is not in force for others was so before */
	if (r < 0)
		return r;
	return enforce_check(add->agent.uid, add->policy, ret_reason);
}

static int reload_units(Add *add, Reason *ret_reason)
{
	add->reload_needed = true;
	return units_reload(ret_reason);
}

/* The user manager starts here, so the drop-ins must be loaded before. */
static int enable_linger(Add *add, Reason *ret_reason)
{
	const char *const argv[] = { "/usr/bin/loginctl", "enable-linger", add->agent.name, NULL };

	return command_run(argv, ret_reason);
}

static int start_units(Add *add, Reason *ret_reason)
{
	return units_start(add->agent.uid, ret_reason);
}

static int end_units(Add *add, Reason *ret_reason)
{
	if (!agent_uid_valid(&add->agent))
		return 0;
	return units_end(add->agent.name, add->agent.uid, ret_reason);
}

typedef struct Step {
	const char *what;
	int (*act)(Add *, Reason *);
	int (*undo)(Add *, Reason *); /* also for a half-done step; NULL: an earlier step's undo covers it */
} Step;

static const Step steps[] = {
	{ "writing the policy", write_policy, remove_policy },
	{ "writing the policy's key", write_policy_keys, remove_policy_keys },
	{ "making the user", make_user, remove_user },
	{ "remembering the agent", mark_agent, unmark_agent },
	{ "filling the home", fill_home, NULL },
	{ "enforcing the policy", enforce_policy, NULL },
	{ "reloading the units", reload_units, NULL },
	{ "enabling lingering", enable_linger, end_units },
	{ "starting the keeper", start_units, end_units },
};

/* Returns whether nothing is left. */
static bool roll_back(Add *add, size_t from)
{
	Reason reason = { "" };
	bool clean = true;

	for (size_t i = from + 1; i-- > 0;) {
		if (!steps[i].undo)
			continue;
		/* two steps share an undo: once is enough */
		if (i + 1 <= from && steps[i + 1].undo == steps[i].undo)
			continue;
		if (steps[i].undo(add, &reason)) {
			(void)fprintf(stderr, "creelctl: undoing \"%s\": %s\n", steps[i].what, reason.text);
			clean = false;
		}
	}
	if (add->enforce_needed && enforce_run(&reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		clean = false;
	}
	if (add->reload_needed && units_reload(&reason)) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		clean = false;
	}
	return clean;
}

static int run_steps(Add *add, const sigset_t *stop)
{
	const struct timespec now = { 0 };
	Reason reason = { "" };

	for (size_t i = 0; i < ELEMENTSOF(steps); i++) {
		int r = steps[i].act(add, &reason), caught;

		if (!r) {
			caught = sigtimedwait(stop, NULL, &now);
			if (caught < 0)
				continue;
			(void)reason_set(&reason, -EINTR, "stopped by signal %d", caught);
		}
		(void)fprintf(stderr, "creelctl: %s: %s\n", steps[i].what, reason.text);
		if (roll_back(add, i))
			(void)fprintf(
				stderr, "creelctl: agent %s was not added; nothing of it is left\n", add->agent.name);
		else
			(void)fprintf(
				stderr, "creelctl: `creelctl agent remove %s` removes what is left\n", add->agent.name);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

int agent_add_main(int argc, char **argv)
{
	_cleanup_(add_done) Add add = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	const WordOption options[] = {
		{ "--key", .value = &add.key_file },
		{ "--profile", .value = &add.profile },
		{ "--set", .list = &add.settings },
		{ NULL },
	};
	const char *name = NULL;
	Reason reason = { "" };
	sigset_t stop;

	if (words_parse(argc, argv, options, &name) < 0 || !name || !add.key_file)
		return EXIT_USAGE;
	if (sd_booted() <= 0) {
		(void)fprintf(
			stderr, "creelctl: this machine was not booted by systemd, which starts an agent's units\n");
		return EXIT_FAILURE;
	}
	if (agents_lock(&lock_fd, &reason) < 0 || judge(&add, name, &reason) < 0) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}

	sigemptyset(&stop);
	sigaddset(&stop, SIGINT);
	sigaddset(&stop, SIGTERM);
	sigaddset(&stop, SIGHUP);
	sigaddset(&stop, SIGQUIT);
	(void)sigprocmask(SIG_BLOCK, &stop, NULL);
	if (run_steps(&add, &stop) != EXIT_SUCCESS)
		return EXIT_FAILURE;
	retention_apply();
	(void)printf("agent %s added: uid %u, home %s, policy %s, key in %s%s%s\n", name, add.agent.uid, add.home,
		add.agent.file, key_goes_to_policy(&add) ? POLICY_DIR "/agents/" : "~/.ssh/authorized_keys",
		key_goes_to_policy(&add) ? name : "", key_goes_to_policy(&add) ? ".keys" : "");
	return EXIT_SUCCESS;
}

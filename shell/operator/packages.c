/* SPDX-License-Identifier: MIT */
/*
 * creelctl packages fetch: fills the shelf of an agent whose policy has an allowlist.
 *
 * Who reads what strangers publish is a user of its own without any right (creel-packages@.service); root only takes the
 * files over when its processes have ended. A shelf is made beside the old one and takes its place in one step: what
 * fails leaves everything as it was. One fetches at a time, as that user is one for all agents; other verbs wait only
 * for the last step.
 *
 * npm takes packages from nowhere but a registry and its own cache, and writes to that cache while it reads. So each agent
 * gets a copy of what is on its shelf into its own cache, made by a process of its own.
 */
#include "shell/operator/packages.h"
#include "shell/base/file.h"
#include "shell/policy/package.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#define FETCH_USER "creel-packages"
#define LOG_MAX (1024U * 1024)

static const char *const kind_names[] = { "python", "npm" };

static int system_reason(Reason *ret_reason, int error, const char *path)
{
	return reason_set(ret_reason, error, "%s: %s", path, strerror(-error));
}

static int remove_tree(const char *path, Reason *ret_reason)
{
	const char *const argv[] = { "/bin/rm", "-rf", "--one-file-system", "--", path, NULL };
	int r = command_run(argv, ret_reason);

	return r > 0 ? -EPROTO : r;
}

static bool wants(const Policy *policy, PackageKind kind)
{
	return package_mode(policy, kind) == PACKAGES_ALLOWLIST;
}

/* ---- what was allowed once ---- */

static const char *last_part(const char *path)
{
	return strrchr(path, '/') + 1;
}

static int is_allowed(const Policy *policy, const char *entry)
{
	for (PackageKind kind = 0; policy && kind < PACKAGE_KINDS_N; kind++) {
		_cleanup_free_ char *shelf = package_shelf(policy, kind);

		if (!shelf)
			return -ENOMEM;
		if (wants(policy, kind) && strcmp(entry, last_part(shelf)) == 0)
			return 1;
	}
	return 0;
}

int packages_prune(const char *name, const Policy *policy, Reason *ret_reason)
{
	_cleanup_free_ char *folder = str_format("%s/%s", PACKAGE_SHELF_DIR, name);
	_cleanup_closedir_ DIR *dir = folder ? opendir(folder) : NULL;
	const struct dirent *entry;

	if (!folder)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (!dir)
		return errno == ENOENT ? 0 : system_reason(ret_reason, -errno, folder);
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *path = str_format("%s/%s", folder, entry->d_name);
		int r;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		r = path ? is_allowed(policy, entry->d_name) : -ENOMEM;
		if (r < 0)
			return reason_set(ret_reason, r, "%s", strerror(-r));
		if (r == 0)
			r = remove_tree(path, ret_reason);
		if (r < 0)
			return r;
	}
	/* there is nobody whom it would be kept for */
	if (!policy && rmdir(folder) < 0)
		return system_reason(ret_reason, -errno, folder);
	return 0;
}

bool packages_missing(const Policy *policy)
{
	for (PackageKind kind = 0; kind < PACKAGE_KINDS_N; kind++) {
		_cleanup_free_ char *shelf = wants(policy, kind) ? package_shelf(policy, kind) : NULL;

		if (shelf && access(shelf, F_OK) < 0)
			return true;
	}
	return false;
}

/* ---- fetching ---- */

typedef struct Fetch {
	Agent agent;
	Policy *policy;
	char *stage; /* root's; .../out is the user's who fetches */
	char *fresh; /* the shelf in the making */
	char *shelf; /* the agent's */
} Fetch;

static void fetch_done(Fetch *fetch)
{
	Reason ignored;

	if (fetch->stage)
		(void)!remove_tree(fetch->stage, &ignored);
	if (fetch->fresh)
		(void)!remove_tree(fetch->fresh, &ignored);
	agent_done(&fetch->agent);
	(void)policy_free(fetch->policy);
	free(fetch->stage);
	free(fetch->fresh);
	free(fetch->shelf);
}

static int write_stage_file(const Fetch *fetch, const char *name, const char *text, Reason *ret_reason)
{
	_cleanup_free_ char *path = str_format("%s/%s", fetch->stage, name);
	int r = path && text ? file_replace_at(AT_FDCWD, path, text, strlen(text), 0644) : -ENOMEM;

	return r < 0 ? system_reason(ret_reason, r, path ? path : name) : 0;
}

/* One a line; empty where the policy has no allowlist. New memory. */
static char *lines_of(const Policy *policy, PackageKind kind)
{
	const StrList *list = package_list(policy, kind);
	_cleanup_free_ char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);
	bool whole = true;

	if (!file)
		return NULL;
	for (size_t i = 0; wants(policy, kind) && i < list->n; i++) {
		_cleanup_free_ char *line =
			kind == PACKAGE_PYTHON ? package_requirement(list->items[i]) : strdup(list->items[i]);

		whole = whole && line && fprintf(file, "%s\n", line) > 0;
	}
	return fclose(file) == 0 && whole ? TAKE_PTR(text) : NULL;
}

static int make_stage(const Fetch *fetch, Reason *ret_reason)
{
	_cleanup_free_ char *out = str_format("%s/out", fetch->stage);
	_cleanup_free_ char *programs = str_format("%s\n%s\n", fetch->policy->python, fetch->policy->node);
	_cleanup_free_ char *pip = lines_of(fetch->policy, PACKAGE_PYTHON);
	_cleanup_free_ char *npm = lines_of(fetch->policy, PACKAGE_JAVASCRIPT);
	const struct passwd *user = getpwnam(FETCH_USER);
	int r;

	if (!user)
		return reason_set(ret_reason, -ENOENT, "there is no user " FETCH_USER ": run systemd-sysusers(8)");
	if (!out)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = remove_tree(fetch->stage, ret_reason);
	if (r < 0)
		return r;
	/* the modes are for those who may pass, whatever the operator's umask */
	if (mkdir(fetch->stage, 0755) < 0 || chmod(fetch->stage, 0755) < 0 || mkdir(out, 0700) < 0 ||
		chown(out, user->pw_uid, user->pw_gid) < 0)
		return system_reason(ret_reason, -errno, fetch->stage);
	r = write_stage_file(fetch, "programs", programs, ret_reason);
	if (r == 0)
		r = write_stage_file(fetch, "requirements.txt", pip, ret_reason);
	return r == 0 ? write_stage_file(fetch, "npm.txt", npm, ret_reason) : r;
}

/* npm says a code first, then what is wrong, and then what it would advise; pip comes to the point with its last ERROR. */
static bool is_reason(const char *line, const char *found)
{
	if (strncmp(line, "npm ", strlen("npm ")) == 0)
		return strncmp(line, "npm warn", strlen("npm warn")) != 0 && !strstr(line, " code ") &&
		       !(found && strncmp(found, "npm ", strlen("npm ")) == 0);
	return strncmp(line, "ERROR", strlen("ERROR")) == 0 || (*line && !found);
}

/* Quoted, for it is a stranger's. */
static void reason_of_log(const Fetch *fetch, Reason *ret_reason)
{
	_cleanup_free_ char *path = str_format("%s/out/log", fetch->stage), *text = NULL;
	char shown[768];
	const char *found = NULL;
	char *rest;

	if (!path || file_read_at(AT_FDCWD, path, O_NOFOLLOW | O_NONBLOCK, LOG_MAX, &text, NULL) < 0)
		return;
	rest = text;
	for (char *line; (line = strsep(&rest, "\n"));)
		if (is_reason(line, found))
			found = line;
	if (found)
		(void)reason_set(ret_reason, 0, "nothing was changed: %s",
			str_quote(found, strnlen(found, 180), shown, sizeof(shown)));
}

static int run_fetch(const Fetch *fetch, Reason *ret_reason)
{
	_cleanup_free_ char *unit = str_format("creel-packages@%s.service", fetch->agent.name);
	const char *const argv[] = { "/usr/bin/systemctl", "start", unit, NULL };
	int r;

	if (!unit)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = command_run(argv, ret_reason);
	if (r > 0)
		reason_of_log(fetch, ret_reason);
	return r > 0 ? -EPROTO : r;
}

/* Its folder, named as the policy's list, into the new shelf. */
static int take_kind(const Fetch *fetch, PackageKind kind, Reason *ret_reason)
{
	_cleanup_free_ char *found = str_format("%s/out/%s", fetch->stage, kind_names[kind]);
	_cleanup_free_ char *shelf = package_shelf(fetch->policy, kind);
	_cleanup_free_ char *target = shelf ? str_format("%s/%s", fetch->fresh, last_part(shelf)) : NULL;
	_cleanup_close_ int fd = -EBADF;
	int r;

	if (!found || !target)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	fd = open(found, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return system_reason(ret_reason, -errno, found);
	r = packages_take(fd, fetch->agent.gid);
	if (r < 0)
		return reason_set(ret_reason, r, "%s: what was fetched is not taken: %s", found,
			r == -ELOOP ? "it has something that is neither a file nor a folder" : strerror(-r));
	return rename(found, target) < 0 ? system_reason(ret_reason, -errno, target) : 0;
}

static int make_shelf(const Fetch *fetch, Reason *ret_reason)
{
	int r = remove_tree(fetch->fresh, ret_reason);

	if (r < 0)
		return r;
	if (mkdir(fetch->fresh, 0700) < 0 || chown(fetch->fresh, 0, fetch->agent.gid) < 0 ||
		chmod(fetch->fresh, 0750) < 0)
		return system_reason(ret_reason, -errno, fetch->fresh);
	for (PackageKind kind = 0; kind < PACKAGE_KINDS_N && r == 0; kind++)
		if (wants(fetch->policy, kind))
			r = take_kind(fetch, kind, ret_reason);
	return r;
}

/* Under the lock of all verbs, and only for the user that it was made for. */
static int publish(const Fetch *fetch, Reason *ret_reason)
{
	_cleanup_(agent_done) Agent agent = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	int r = agents_lock(&lock_fd, ret_reason);

	if (r == 0)
		r = agent_find(fetch->agent.name, &agent, ret_reason);
	if (r < 0)
		return r;
	if (!agent.has_file || !agent_uid_valid(&agent) || agent.uid != fetch->agent.uid)
		return reason_set(ret_reason, -ENOENT, "the agent was removed meanwhile");
	if (renameat2(AT_FDCWD, fetch->fresh, AT_FDCWD, fetch->shelf, RENAME_EXCHANGE) < 0 &&
		(errno != ENOENT || rename(fetch->fresh, fetch->shelf) < 0))
		return system_reason(ret_reason, -errno, fetch->shelf);
	return 0;
}

/* As the agent, in its slice: what is in its home is its own, links and quota included. */
static int hand_out(const Fetch *fetch, Reason *ret_reason)
{
	static const char script[] = "mkdir -p \"$HOME/.npm\" && cp -R -- \"$1/_cacache\" \"$HOME/.npm/\"";
	_cleanup_free_ char *shelf = package_shelf(fetch->policy, PACKAGE_JAVASCRIPT);
	_cleanup_free_ char *uid = str_format("--uid=%s", fetch->agent.name);
	_cleanup_free_ char *slice = str_format("--slice=user-%u.slice", fetch->agent.uid);
	const char *const argv[] = { "/usr/bin/systemd-run", "--quiet", "--wait", "--collect", "--pipe", uid, slice,
		"--property=NoNewPrivileges=yes", "--property=CapabilityBoundingSet=", "--property=PrivateNetwork=yes",
		"--property=UMask=0077", "/bin/sh", "-c", script, "sh", shelf, NULL };
	Reason why = { "" };

	if (!wants(fetch->policy, PACKAGE_JAVASCRIPT))
		return 0;
	if (!shelf || !uid || !slice)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (command_run(argv, &why))
		return reason_set(ret_reason, -EPROTO,
			"the shelf is filled, but npm's cache in its home is not: %.800s", why.text);
	return 0;
}

static int fetch_begin(const char *name, Fetch *fetch, Reason *ret_reason)
{
	PolicyError error = { "" };
	int r = agent_find(name, &fetch->agent, ret_reason);

	if (r < 0)
		return r;
	if (!fetch->agent.has_file || !agent_uid_valid(&fetch->agent))
		return reason_set(ret_reason, -ENOENT, "there is no such agent");
	r = policy_load("", name, &fetch->policy, &error);
	if (r < 0)
		return reason_set(ret_reason, r, "%s", error.text);
	return 0;
}

static int fetch_agent(Fetch *fetch, Reason *ret_reason)
{
	const char *name = fetch->agent.name;
	int r;

	fetch->stage = str_format("%s/.fetch-%s", PACKAGE_SHELF_DIR, name);
	fetch->fresh = str_format("%s/.new-%s", PACKAGE_SHELF_DIR, name);
	fetch->shelf = str_format("%s/%s", PACKAGE_SHELF_DIR, name);
	if (!fetch->stage || !fetch->fresh || !fetch->shelf)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	r = make_stage(fetch, ret_reason);
	if (r == 0)
		r = run_fetch(fetch, ret_reason);
	if (r == 0)
		r = make_shelf(fetch, ret_reason);
	if (r == 0)
		r = publish(fetch, ret_reason);
	return r == 0 ? hand_out(fetch, ret_reason) : r;
}

/* `all`: an agent without an allowlist is no failure, and nothing is said of it. */
static int fetch_one(const char *name, bool all)
{
	_cleanup_(fetch_done) Fetch fetch = { 0 };
	Reason reason = { "" };
	int r = fetch_begin(name, &fetch, &reason);

	if (r == 0 && !wants(fetch.policy, PACKAGE_PYTHON) && !wants(fetch.policy, PACKAGE_JAVASCRIPT)) {
		if (all)
			return EXIT_SUCCESS;
		r = reason_set(&reason, -EINVAL,
			"its policy has no allowlist ([python] pip_install, [javascript] npm_install)");
	}
	if (r == 0)
		r = fetch_agent(&fetch, &reason);
	if (r < 0) {
		(void)fprintf(stderr, "creelctl: agent %s: %s\n", name, reason.text);
		return EXIT_FAILURE;
	}
	(void)printf("agent %s: its shelf is filled\n", name);
	return EXIT_SUCCESS;
}

/* The folder is made where nothing made it at boot. The lock goes with the descriptor. */
static int shelves_lock(int *ret_fd, Reason *ret_reason)
{
	_cleanup_close_ int fd = -EBADF;

	if ((mkdir("/var/lib/creel", 0755) < 0 && errno != EEXIST) ||
		(mkdir(PACKAGE_SHELF_DIR, 0755) < 0 && errno != EEXIST))
		return system_reason(ret_reason, -errno, PACKAGE_SHELF_DIR);
	fd = open(PACKAGE_SHELF_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || flock(fd, LOCK_EX) < 0)
		return system_reason(ret_reason, -errno, PACKAGE_SHELF_DIR);
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int packages_fetch_main(int argc, char **argv)
{
	_cleanup_strlist_ StrList names = { 0 };
	_cleanup_close_ int lock_fd = -EBADF;
	const char *name = NULL;
	Reason reason = { "" };
	bool all = false;
	const WordOption options[] = { { "--all", .flag = &all }, { NULL } };
	int status = EXIT_SUCCESS;

	if (words_parse(argc, argv, options, &name) < 0 || all == (name != NULL))
		return EXIT_USAGE;
	if (shelves_lock(&lock_fd, &reason) < 0 || (all && agent_names(&names, &reason) < 0)) {
		(void)fprintf(stderr, "creelctl: %s\n", reason.text);
		return EXIT_FAILURE;
	}
	if (name)
		return fetch_one(name, false);
	for (size_t i = 0; i < names.n; i++)
		if (fetch_one(names.items[i], true) != EXIT_SUCCESS)
			status = EXIT_FAILURE;
	return status;
}

/* SPDX-License-Identifier: MIT */
/*
 * creel-enforce: makes the kernel hold what the policies say, for what is enforced by uid, cgroup or file system: a row
 * of table[] each. Runs at boot before anybody can log in (creel-enforce.service), and by creelctl after each change.
 *
 * It does not stay: what it leaves in the kernel does the work, and lasts without it. What it brought about is said in
 * /run/creel/enforced/UID (shell/policy/enforced.h); the keeper refuses logins of an agent for whom something is missing.
 *
 * `creel-enforce count` runs when the machine goes down (creel-enforce.service): it saves what agents sent and received.
 * `creel-enforce watch` runs each minute (creel-count.timer): it saves as well, lets go of addresses that names do not have any
 * more and of removed cgroups, and has everything applied anew when somebody changed the tables, a policy was edited, or the
 * machine's name servers or the operator's ports changed.
 *
 * Exit status: 0 all is in force, or optional; 1 something is not, with one line each on standard error; 2 usage.
 */
#include "shell/base/file.h"
#include "shell/base/log.h"
#include "shell/enforce/cgroups.h"
#include "shell/enforce/enforce.h"
#include "shell/enforce/firewall.h"
#include "shell/enforce/network.h"
#include "shell/enforce/program.h"
#include "shell/enforce/tables.h"
#include "shell/enforce/transfer.h"
#include "shell/policy/agents.h"

#include <fcntl.h>
#include <spawn.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* One row a mechanism, in the order in which they are applied; the names are those of mechanisms[]. */
static const struct {
	const char *name;
	MechanismApply apply;
} table[] = {
	{ "ports", ports_apply },
	{ "processes", processes_apply },
	{ "strangers", strangers_apply },
	{ "services", services_apply },
	{ "cgroups", cgroups_apply },
	{ "executions", executions_apply },
	{ "firewall", firewall_apply },
	{ "network", network_apply },
	{ "restricted", restricted_apply },
	{ "disk", quota_apply },
};

static int make_folder(const char *path)
{
	return mkdir(path, 0755) < 0 && errno != EEXIST ? -errno : 0;
}

/* One at a time: creelctl and a reload of the unit may come together. Held until the process ends. */
static int lock(void)
{
	int fd, r;

	/* at boot it runs before systemd-tmpfiles does */
	r = make_folder("/run/creel");
	if (!r)
		r = make_folder(ENFORCED_DIR);
	if (r < 0)
		return r;
	fd = open("/run/creel/enforce.lock", O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	while (flock(fd, LOCK_EX) < 0)
		if (errno != EINTR) {
			r = -errno;
			fd_close(fd);
			return r;
		}
	return fd;
}

static int note_result(EnforceAgents *agents, size_t row, int error, const EnforceReason *reason)
{
	for (size_t i = 0; i < agents->n; i++) {
		MechanismResult *result = &agents->items[i].enforced.results[row];
		const char *text = error < 0 ? reason->text : agents->items[i].failed.text;

		result->state = *text ? MECHANISM_FAILED : MECHANISM_OK;
		(void)snprintf(result->reason, sizeof(result->reason), "%s", text);
		for (size_t k = 0; k < agents->pins.n; k++)
			if (strlist_add(&result->pins, agents->pins.items[k]) < 0)
				return -ENOMEM;
		agents->items[i].failed.text[0] = '\0';
	}
	strlist_done(&agents->pins);
	return 0;
}

static int apply_all(EnforceAgents *agents)
{
	for (size_t i = 0; i < ELEMENTSOF(table); i++) {
		EnforceReason reason = { "it failed" };
		size_t row;
		int r;

		r = mechanism_find(table[i].name, &row);
		if (r < 0)
			return r;
		r = table[i].apply(agents, &reason);
		if (r < 0 && !agents->n) /* nobody needs it, and nobody's file says so */
			log_warning("%s: %s", table[i].name, reason.text);
		r = note_result(agents, row, r, &reason);
		if (r < 0)
			return r;
	}
	return 0;
}

/*
 * Slices have limits.tasks for TasksMax= where processes are counted, and the smaller of the two where not; the generator
 * had to guess before this ran.
 */
static bool generator_guessed_wrong(const EnforceAgents *agents, const bool *guesses)
{
	size_t row;

	if (mechanism_find("processes", &row) < 0)
		return false;
	for (size_t i = 0; i < agents->n; i++)
		if (agents->items[i].policy &&
			guesses[i] != (agents->items[i].enforced.results[row].state == MECHANISM_OK))
			return true;
	return false;
}

/* Without waiting: at boot this runs inside of what a reload would wait for. */
static void reload_manager(void)
{
	char *const argv[] = { "/usr/bin/systemctl", "--no-block", "daemon-reload", NULL };
	char *const environment[] = { "PATH=/usr/bin:/bin", "LC_ALL=C.UTF-8", NULL };
	int status = 0, r;
	pid_t pid;

	if (access("/run/systemd/system", F_OK) < 0)
		return;
	r = posix_spawn(&pid, argv[0], NULL, NULL, argv, environment);
	while (r == 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			r = errno;
	if (r || status)
		log_error("the limits of tasks need a `systemctl daemon-reload`, which failed");
}

/* Returns whether all is well. */
static bool report(const EnforceAgents *agents)
{
	char reason[512];
	bool good = true;

	for (size_t i = 0; i < agents->n; i++) {
		const EnforceAgent *agent = &agents->items[i];

		/* whoever has no policy cannot log in at all */
		if (!agent->policy)
			continue;
		if (enforced_lacks(&agent->enforced, agent->policy, false, reason, sizeof(reason))) {
			log_error("agent %s: logins are refused: %s", agent->name, reason);
			good = false;
		}
		if (enforced_lacks(&agent->enforced, agent->policy, true, reason, sizeof(reason)))
			log_warning("agent %s: %s", agent->name, reason);
	}
	return good;
}

static int enforce_main(void)
{
	_cleanup_(enforce_agents_done) EnforceAgents agents = { 0 };
	_cleanup_free_ bool *guesses = NULL;
	EnforceReason reason = { "" };
	int r;

	r = enforce_agents_load(&agents, &reason);
	if (r < 0) {
		log_error("%s", reason.text);
		return EXIT_FAILURE;
	}
	guesses = calloc(agents.n + 1, sizeof(*guesses));
	if (!guesses) {
		log_error("%s", strerror(ENOMEM));
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < agents.n; i++)
		guesses[i] = processes_counted("", agents.items[i].uid);
	r = apply_all(&agents);
	for (size_t i = 0; i < agents.n && !r; i++)
		r = enforced_write("", agents.items[i].uid, &agents.items[i].enforced);
	if (r < 0)
		(void)enforce_reason(&reason, r, ENFORCED_DIR ": %s", strerror(-r));
	else
		r = enforce_forget_others(ENFORCED_DIR, &agents, NULL, NULL, &reason);
	if (r < 0) {
		log_error("%s", reason.text);
		return EXIT_FAILURE;
	}
	if (generator_guessed_wrong(&agents, guesses))
		reload_manager();
	return report(&agents) ? EXIT_SUCCESS : EXIT_FAILURE;
}

/* In the unit that has all it needs for that, and not in the timer's. */
static int apply_anew(const char *why)
{
	static const char *const argv[] = { "/usr/bin/systemctl", "reload-or-restart", "creel-enforce.service", NULL };
	EnforceReason reason = { "" };

	log_notice("%s: applying everything anew", why);
	if (program_run(argv, NULL, NULL, &reason) == 0)
		return EXIT_SUCCESS;
	log_error("%s", reason.text);
	return EXIT_FAILURE;
}

static int count_main(void)
{
	int r = transfer_save();

	if (r == 0 || r == -ENOENT) /* nothing was counted */
		return EXIT_SUCCESS;
	log_error("what agents sent and received cannot be saved: %s", strerror(-r));
	return EXIT_FAILURE;
}

/* An operator edited one, and did not have it applied. */
static bool policies_edited(const EnforceAgents *agents)
{
	for (size_t i = 0; i < agents->n; i++) {
		_cleanup_enforced_ Enforced applied = { 0 };

		if (enforced_read("", agents->items[i].uid, &applied) == 0 &&
			applied.stamp != agents->items[i].enforced.stamp)
			return true;
	}
	return false;
}

/* `ret_anew` gets why everything must be applied anew, if it must. */
static int watch_main(const char **ret_anew)
{
	_cleanup_(enforce_agents_done) EnforceAgents agents = { 0 };
	EnforceReason reason = { "" };
	int status = count_main();

	if (enforce_agents_load(&agents, &reason) < 0) {
		log_error("%s", reason.text);
		return EXIT_FAILURE;
	}
	cgroups_reclaim(&agents);
	if (table_changed())
		*ret_anew = "a table of the firewall is not as it was made";
	else if (resolvers_outdated())
		*ret_anew = "the machine's name servers changed";
	else if (operator_ports_outdated())
		*ret_anew = "the configuration of OpenSSH changed";
	else if (policies_edited(&agents))
		*ret_anew = "a policy changed";
	if (*ret_anew)
		return status; /* names stay a minute longer */
	if (names_forget(&reason) < 0) {
		log_error("addresses of names: %s", reason.text);
		return EXIT_FAILURE;
	}
	return status;
}

int main(int argc, char **argv)
{
	_cleanup_close_ int lock_fd = -EBADF;
	bool count = argc == 2 && strcmp(argv[1], "count") == 0, watch = argc == 2 && strcmp(argv[1], "watch") == 0;
	const char *anew = NULL;
	int status;

	log_open("creel-enforce");
	if (argc != 1 && !count && !watch) {
		log_error("usage: creel-enforce [count | watch] (see creel-enforce(8))");
		return 2;
	}
	(void)umask(022);
	lock_fd = lock();
	if (lock_fd < 0) {
		log_error("/run/creel: %s", strerror(-lock_fd));
		return EXIT_FAILURE;
	}
	if (!count && !watch)
		return enforce_main();
	status = count ? count_main() : watch_main(&anew);
	/* the other one wants it */
	lock_fd = fd_close(lock_fd);
	return anew ? apply_anew(anew) : status;
}

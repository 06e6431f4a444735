/* SPDX-License-Identifier: MIT */
/*
 * creel cron run and logs. A run by hand is the unit that the timer would start, so that it finds what it will find then: the
 * same environment, folder, limits. What it writes is read from where it goes: the file that its line names, and the journal.
 */
#include "shell/jobs/commands.h"
#include "shell/jobs/folders.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/cron/verbs.h"
#include "shell/base/str.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/options.h"
#include "shell/jobs/span.h"
#include "shell/jobs/tail.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define START_USEC (60 * USEC_PER_SEC)
#define LOOK_USEC (USEC_PER_SEC / 2)

static off_t file_size(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 ? st.st_size : 0;
}

/* What was added behind `offset`; where it stands then. */
static off_t show_file(const char *path, off_t offset)
{
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -EBADF;
	char buffer[4096];
	ssize_t n;

	while (fd >= 0 && (n = pread(fd, buffer, sizeof(buffer), offset)) > 0) {
		(void)fwrite(buffer, 1, (size_t)n, stdout);
		offset += n;
	}
	(void)fflush(stdout);
	return offset;
}

/* Lines of the journal that belong to this one start of the unit. */
static void show_journal(Manager *manager, const char *unit)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_free_ char *path = NULL;
	char match[64] = "_SYSTEMD_INVOCATION_ID=";
	const uint8_t *id = NULL;
	size_t n = 0, used = strlen(match);
	pid_t pid;

	if (sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path) < 0 ||
		sd_bus_get_property(manager_bus(manager), MANAGER_NAME, path, UNIT_INTERFACE, "InvocationID", NULL,
			&reply, "ay") < 0 ||
		sd_bus_message_read_array(reply, 'y', (const void **)&id, &n) < 0 || n != 16)
		return;
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(match + used, sizeof(match) - used, "%02x", id[i]);
	pid = fork();
	if (pid == 0) {
		execlp("journalctl", "journalctl", "--user", "-q", "--no-pager", "-o", "cat", match, (char *)NULL);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR) {
	}
}

/* Waits for its end. Returns 0 or a negative errno with the reason. */
static int follow(Manager *manager, const char *unit, const char *log, off_t offset, Unit *ret, Reason *ret_reason)
{
	for (;;) {
		_cleanup_unit_ Unit now = { 0 };
		int r = manager_unit(manager, unit, &now, ret_reason);

		if (r < 0)
			return r;
		offset = show_file(log, offset);
		if (!unit_lives(&now)) {
			*ret = now;
			now = (Unit){ 0 };
			(void)show_file(log, offset);
			return 0;
		}
		r = manager_wait(manager, LOOK_USEC, ret_reason);
		if (r < 0)
			return r;
	}
}

int cron_run(const char *verb, const CronEntry *entry)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_unit_ Unit before = { 0 }, after = { 0 };
	_cleanup_free_ char *log = cron_log(entry);
	char unit[CRON_UNIT_MAX], span[32];
	off_t offset = file_size(log);
	Reason reason;
	int r, status;

	(void)cron_unit_name(entry->id, "service", unit);
	r = manager_connect(&manager, &reason);
	if (r >= 0) {
		r = manager_unit(manager, unit, &before, &reason);
		if (r == -ENOENT)
			(void)reason_set(
				&reason, r, "the user manager does not know it yet: systemctl --user daemon-reload");
	}
	if (r >= 0 && unit_lives(&before))
		r = reason_set(
			&reason, -EBUSY, "it runs now; wait for its end, or end it: systemctl --user stop %s", unit);
	if (r >= 0)
		r = manager_change(manager, "StartUnit", unit, START_USEC, &reason);
	if (r >= 0 || r == -EREMOTEIO)
		r = follow(manager, unit, log, offset, &after, &reason);
	if (r < 0) {
		reason_tell(verb, entry->id, reason.text);
		return EXIT_FAILURE;
	}
	show_journal(manager, unit);
	(void)span_text(after.ended_usec - after.started_usec, span, sizeof(span));
	if (after.code == CLD_EXITED) {
		status = after.status;
		(void)fprintf(stderr, "cron: %s: exit status %d after %s\n", entry->id, status, span);
	} else if (after.code) {
		status = EXIT_BY_SIGNAL + after.status;
		(void)fprintf(stderr, "cron: %s: ended by signal %d after %s\n", entry->id, after.status, span);
	} else {
		status = EXIT_FAILURE;
		(void)fprintf(stderr, "cron: %s: it could not be started: %s\n", entry->id, after.result);
	}
	return status;
}

static int load_one(const char *verb, const char *name, Crontab **ret_crontab, const CronEntry **ret)
{
	Reason reason;

	if (cron_load(ret_crontab, NULL, &reason) >= 0 && cron_entry(*ret_crontab, name, ret, &reason) >= 0)
		return 0;
	reason_tell(verb, name, reason.text);
	return -1;
}

int cron_run_main(int argc, char **argv)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	const CronEntry *entry;

	if (argc != 1) {
		reason_tell("cron run", NULL, "the name of one entry, please");
		return EXIT_WRONG_USAGE;
	}
	return load_one("cron run", argv[0], &crontab, &entry) < 0 ? EXIT_FAILURE : cron_run("cron run", entry);
}

static bool never_over(void *userdata)
{
	return false;
}

/* A log of ~/logs, where creel cron add puts them: in a terminal nothing in it acts. -ENOTSUP: it lies elsewhere, or is no file. */
static int show_log(const char *log, uint64_t lines, bool on, Reason *ret_reason)
{
	_cleanup_tail_ Tail tail = { .folder_fd = -EBADF, .fd = -EBADF };
	const char *name = strrchr(log, '/') + 1;
	_cleanup_free_ char *path = home_path(FOLDER_LOGS, name);
	int r;

	if (!str_equal(path, log) || strlen(name) >= sizeof(tail.name))
		return -ENOTSUP;
	(void)signal(SIGPIPE, SIG_IGN);
	r = tail_begin(FOLDER_LOGS, name, lines, isatty(STDOUT_FILENO), &tail, ret_reason);
	if (r == 0 && on)
		r = tail_follow(&tail, never_over, NULL, ret_reason);
	return r == -EPIPE ? 0 : r == -ELOOP ? -ENOTSUP : r;
}

int cron_logs_main(int argc, char **argv)
{
	const char *items[1], *lines = "50";
	Words words = { .items = items, .max = 1 };
	bool on = false;
	const Option options[] = { { "--follow", "-f", .flag = &on }, { "--lines", "-n", .value = &lines }, { 0 } };
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *log = NULL;
	char unit[CRON_UNIT_MAX];
	const CronEntry *entry;
	uint64_t number;
	Reason reason;
	int r;

	r = options_read(argc, argv, options, &words, &reason);
	if (r >= 0 && words.n != 1)
		r = reason_set(&reason, -EINVAL, "the name of one entry, please");
	if (r >= 0 && str_to_u64(lines, 1000000, &number) < 0)
		r = reason_set(&reason, -EINVAL, "-n: a number of lines, please");
	if (r < 0) {
		reason_tell("cron logs", NULL, reason.text);
		return EXIT_WRONG_USAGE;
	}
	if (load_one("cron logs", items[0], &crontab, &entry) < 0)
		return EXIT_FAILURE;
	log = cron_log(entry);
	if (log && !on && access(log, F_OK) < 0) {
		reason_tell("cron logs", entry->id, "it has not written anything yet; creel cron run tries it");
		return EXIT_FAILURE;
	}
	r = log && access(log, F_OK) == 0 ? show_log(log, number, on, &reason) : -ENOTSUP;
	if (r != -ENOTSUP) {
		if (r < 0)
			reason_tell("cron logs", entry->id, reason.text);
		return r == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
	}
	if (log)
		execlp("tail", "tail", "-n", lines, on ? "-F" : "--", on ? "--" : log, on ? log : NULL, (char *)NULL);
	else
		execlp("journalctl", "journalctl", "--user", "--no-pager", "-q", "-n", lines, "-u",
			cron_unit_name(entry->id, "service", unit), on ? "-f" : NULL, (char *)NULL);
	reason_tell("cron logs", entry->id, strerror(errno));
	return EXIT_FAILURE;
}

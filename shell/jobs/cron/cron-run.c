/* SPDX-License-Identifier: MIT */
/*
 * creel cron run. A run by hand is the unit that the timer would start, so that it finds what it will find then: the same
 * environment, folder, limits. What it writes is read from where it goes: the file that its line names, and the journal.
 */
#include "shell/jobs/commands.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/cron/verbs.h"
#include "shell/jobs/journal.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/span.h"
#include "shell/jobs/tail.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define START_USEC (60 * USEC_PER_SEC)
#define LOOK_USEC (USEC_PER_SEC / 2)
#define LATE_USEC (2 * USEC_PER_SEC) /* the journal may come behind the end of what wrote it */

static off_t file_size(const char *path)
{
	struct stat st;

	return path && stat(path, &st) == 0 ? st.st_size : 0;
}

/* What was added behind `offset`; where it stands then. In a terminal nothing in it acts. */
static off_t show_file(Tail *tail, const char *path, off_t offset)
{
	_cleanup_close_ int fd = path ? open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK) : -EBADF;
	char buffer[4096];
	ssize_t n;

	while (fd >= 0 && (n = pread(fd, buffer, sizeof(buffer), offset)) > 0) {
		if (tail_put(tail, buffer, (size_t)n) < 0)
			break;
		offset += n;
	}
	(void)fflush(stdout);
	return offset;
}

static int invocation(Manager *manager, const char *unit, char *ret, size_t size)
{
	_cleanup_(sd_bus_message_unrefp) sd_bus_message *reply = NULL;
	_cleanup_free_ char *path = NULL;
	const uint8_t *id = NULL;
	size_t n = 0, used = 0;
	int r = sd_bus_path_encode("/org/freedesktop/systemd1/unit", unit, &path);

	if (r >= 0)
		r = sd_bus_get_property(
			manager_bus(manager), MANAGER_NAME, path, UNIT_INTERFACE, "InvocationID", NULL, &reply, "ay");
	if (r >= 0)
		r = sd_bus_message_read_array(reply, 'y', (const void **)&id, &n);
	if (r < 0 || n != 16)
		return r < 0 ? r : -ENODATA;
	for (size_t i = 0; i < n; i++)
		used += (size_t)snprintf(ret + used, size - used, "%02x", id[i]);
	return 0;
}

/*
 * What this one start of the unit wrote into the journal. That may come behind its end: where nothing else has its output (`alone`) the
 * manager's own word about the end is waited for, but not for ever, as journald may leave out lines.
 */
static void show_journal(Manager *manager, Tail *tail, const char *unit, uint64_t ended_usec, bool alone)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	uint64_t until = now_monotonic() + (alone ? LATE_USEC : 0);
	JournalLine line;
	Reason reason;
	char id[40];
	int r;

	if (invocation(manager, unit, id, sizeof(id)) < 0 || journal_open_start(id, &journal, &reason) < 0)
		return;
	for (;;) {
		r = journal_next(journal, &line);
		if (r == 0 && now_monotonic() < until)
			r = journal_wait(journal, LOOK_USEC) < 0 ? -EIO : 0;
		else if (r == 0)
			return;
		else if (r > 0 && line.by_manager && line.usec >= ended_usec)
			return;
		else if (r > 0 && !line.by_manager)
			r = tail_put(tail, line.text, line.n) < 0 || tail_put(tail, "\n", 1) < 0 ? -EPIPE : 0;
		if (r < 0)
			return;
	}
}

/* Waits for its end. Returns 0 or a negative errno with the reason. */
static int follow(
	Manager *manager, Tail *tail, const char *unit, const char *log, off_t offset, Unit *ret, Reason *ret_reason)
{
	for (;;) {
		_cleanup_unit_ Unit now = { 0 };
		int r = manager_unit(manager, unit, &now, ret_reason);

		if (r < 0)
			return r;
		offset = show_file(tail, log, offset);
		if (!unit_lives(&now)) {
			*ret = now;
			now = (Unit){ 0 };
			(void)show_file(tail, log, offset);
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
	_cleanup_tail_ Tail tail = TAIL_NONE(tail_form(false));
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
		r = follow(manager, &tail, unit, log, offset, &after, &reason);
	if (r < 0) {
		reason_tell(verb, entry->id, reason.text);
		return EXIT_FAILURE;
	}
	show_journal(manager, &tail, unit, after.ended_usec, !log);
	tail_end(&tail);
	(void)fflush(stdout);
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

int cron_run_main(int argc, char **argv)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	const CronEntry *entry;
	Reason reason;

	if (argc != 1) {
		reason_tell("cron run", NULL, "the name of one entry, please");
		return EXIT_WRONG_USAGE;
	}
	if (cron_load(&crontab, NULL, &reason) < 0 || cron_entry(crontab, argv[0], &entry, &reason) < 0) {
		reason_tell("cron run", argv[0], reason.text);
		return EXIT_FAILURE;
	}
	return cron_run("cron run", entry);
}

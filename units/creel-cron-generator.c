/* SPDX-License-Identifier: MIT */
/*
 * creel-cron-generator: the agent's crontab -> timers and services of its user manager, when that starts and at every
 * daemon-reload (systemd.generator(7)).
 *
 * It runs as the agent, confined like all that the user manager starts, and reads one file of the agent's. A user without a
 * crontab here gets nothing. A line that cannot be read is told to syslog and makes no unit; the others do.
 *
 * @reboot: the first run after a boot wants those services with default.target; later ones do not, be it a reload or a manager that
 * was started anew. That it ran stands in a file of the agent's home with the boot's id.
 */
#include "shell/base/file.h"
#include "shell/jobs/cron/store.h"
#include "shell/jobs/cron/units.h"
#include "units/unit-dir.h"

#include <fcntl.h>
#include <string.h>
#include <syslog.h>
#include <time.h>

/* Zones of a crontab, each read once. */
typedef struct Zones {
	const char *names[CRONTAB_ENTRIES_MAX];
	Zone *items[CRONTAB_ENTRIES_MAX];
	size_t n;
} Zones;

static int zones_get(Zones *zones, const char *name, int64_t now, const Zone **ret)
{
	int r;

	for (size_t i = 0; i < zones->n; i++)
		if (strcmp(zones->names[i], name) == 0) {
			*ret = zones->items[i];
			return 0;
		}
	if (zones->n == CRONTAB_ENTRIES_MAX)
		return -E2BIG;
	r = zone_load(name, now - 24 * 3600, now + CRON_HORIZON_SECONDS, &zones->items[zones->n]);
	if (r < 0)
		return r;
	zones->names[zones->n] = name;
	*ret = zones->items[zones->n++];
	return 0;
}

static int put_file(int dir_fd, const char *name, const char *text)
{
	_cleanup_close_ int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);

	return fd < 0 ? -errno : file_write_all(fd, text, strlen(text));
}

/* A link to the unit's file beside the target's folder. */
static int want(int dir_fd, const char *target, const char *unit)
{
	char file[CRON_UNIT_MAX + 4];

	(void)snprintf(file, sizeof(file), "../%s", unit);
	return unit_want(dir_fd, target, unit, file);
}

static int generate_entry(int dir_fd, const CronEntry *entry, const CronPlace *place, bool booted)
{
	_cleanup_free_ char *timer = NULL, *service = NULL;
	char name[CRON_UNIT_MAX];
	int r;

	r = cron_service_text(entry, place, &service);
	if (service)
		r = put_file(dir_fd, cron_unit_name(entry->id, "service", name), service);
	if (r >= 0 && entry->spec.reboot)
		return booted ? want(dir_fd, "default.target", name) : 0;
	if (r >= 0)
		r = cron_timer_text(entry, place, &timer);
	if (r == -ENOENT)
		return 0; /* a day that never comes */
	if (timer)
		r = put_file(dir_fd, cron_unit_name(entry->id, "timer", name), timer);
	return r < 0 ? r : want(dir_fd, "timers.target", name);
}

static int generate(int dir_fd, const Crontab *crontab, const char *source, bool booted)
{
	CronPlace place = {
		.home = home_folder(), .source = source, .program = CREEL_BINDIR "/creel", .now = time(NULL)
	};
	Zones zones = { .n = 0 };
	int failed = 0;

	for (size_t i = 0; i < crontab->n; i++) {
		const CronEntry *entry = &crontab->entries[i];
		int r = zones_get(&zones, entry->zone, place.now, &place.zone);

		if (r >= 0)
			r = generate_entry(dir_fd, entry, &place, booted);
		if (r < 0) {
			syslog(LOG_ERR, "%s: line %u: its units cannot be written: %s", source, entry->line,
				strerror(-r));
			failed = r;
		}
	}
	for (size_t i = 0; i < zones.n; i++)
		zone_free(zones.items[i]);
	return failed;
}

int main(int argc, char **argv)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *text = NULL, *source = store_path();
	_cleanup_close_ int dir_fd = -EBADF;
	Reason reason = { "" };
	bool booted;
	size_t n;
	int r;

	if (argc != 2 && argc != 4) {
		(void)fprintf(stderr, "usage: creel-cron-generator NORMAL-DIR [EARLY-DIR LATE-DIR]\n");
		return EXIT_FAILURE;
	}
	openlog("creel-cron-generator", LOG_PID | LOG_PERROR, LOG_USER);
	r = source ? store_read(&text, &n, &reason) : -ENOMEM;
	if (r == -ENOENT)
		return EXIT_SUCCESS;
	booted = store_boot();
	if (r >= 0)
		r = crontab_parse(text, n, &crontab);
	if (r < 0) {
		syslog(LOG_ERR, "%s: %s", source ? source : "the crontab", *reason.text ? reason.text : strerror(-r));
		return EXIT_FAILURE;
	}
	for (size_t i = 0; i < crontab->n_faults && i < CRONTAB_FAULTS_MAX; i++)
		syslog(LOG_ERR, "%s: line %u: %s: this line is left out", source, crontab->faults[i].line,
			crontab->faults[i].text);
	dir_fd = open(argv[1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir_fd < 0) {
		syslog(LOG_ERR, "%s: %s", argv[1], strerror(errno));
		return EXIT_FAILURE;
	}
	return generate(dir_fd, crontab, source, booted) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* SPDX-License-Identifier: MIT */
/*
 * The manager is connected to before anything is written, so that a manager that is down leaves everything as it was. What fails after
 * that leaves the new file and says so: it holds from the manager's next start on.
 *
 * A reload makes the units of new lines known and those of changed lines new; it does not start the former, and timers whose files
 * are gone fail in it: they are stopped before. Starting timers.target once more starts what it wants now and did not before. A command
 * that runs goes on, also where its line is gone.
 */
#include "shell/jobs/cron/reload.h"
#include "shell/jobs/cron/store.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/span.h"

#include <string.h>

#define CHANGE_USEC (60 * USEC_PER_SEC)

/* creel-cron-ID.timer of an entry that is there. */
static bool is_wanted(const Crontab *crontab, const char *unit)
{
	char name[CRON_UNIT_MAX];

	for (size_t i = 0; i < crontab->n; i++)
		if (strcmp(cron_unit_name(crontab->entries[i].id, "timer", name), unit) == 0)
			return !crontab->entries[i].spec.reboot && cron_spec_ever(&crontab->entries[i].spec);
	return false;
}

static int stop_gone(Manager *manager, const Crontab *crontab, Reason *ret_reason)
{
	static const char *const patterns[] = { CRON_UNIT_PREFIX "*.timer", NULL };
	_cleanup_unit_rows_ UnitRows rows = { 0 };
	int r;

	r = manager_list(manager, patterns, &rows, ret_reason);
	for (size_t i = 0; r >= 0 && i < rows.n; i++)
		if (!is_wanted(crontab, rows.items[i].name)) {
			r = manager_change(manager, "StopUnit", rows.items[i].name, CHANGE_USEC, ret_reason);
			if (r == -ENOENT)
				r = 0; /* it went by itself */
		}
	return r;
}

/* What failed and is gone would be shown as failed until somebody says that it does not matter. */
static int forget_gone(Manager *manager, Reason *ret_reason)
{
	static const char *const patterns[] = { CRON_UNIT_PREFIX "*", NULL };
	_cleanup_unit_rows_ UnitRows rows = { 0 };
	int r;

	r = manager_list(manager, patterns, &rows, ret_reason);
	for (size_t i = 0; r >= 0 && i < rows.n; i++)
		if (strcmp(rows.items[i].load, "not-found") == 0)
			manager_reset(manager, rows.items[i].name);
	return r;
}

/* `crontab`: as it is stored now. */
static int reload(Manager *manager, const Crontab *crontab, Reason *ret_reason)
{
	int r;

	r = stop_gone(manager, crontab, ret_reason);
	if (r >= 0)
		r = manager_reload(manager, ret_reason);
	if (r >= 0)
		r = manager_change(manager, "StartUnit", "timers.target", CHANGE_USEC, ret_reason);
	return r < 0 ? r : forget_gone(manager, ret_reason);
}

void cron_tell_faults(const Crontab *crontab, const char *label)
{
	for (size_t i = 0; i < crontab->n_faults && i < CRONTAB_FAULTS_MAX; i++)
		(void)fprintf(stderr, "\"%s\":%u: %s\n", label, crontab->faults[i].line, crontab->faults[i].text);
	if (crontab->n_faults > CRONTAB_FAULTS_MAX)
		(void)fprintf(stderr, "and %zu more lines\n", crontab->n_faults - CRONTAB_FAULTS_MAX);
}

static bool is_unchanged(const char *before)
{
	_cleanup_free_ char *now = NULL;
	Reason reason;
	size_t n;
	int r = store_read(&now, &n, &reason);

	return r == -ENOENT ? !*before : r >= 0 && strcmp(now, before) == 0;
}

static CronInstalled failed(const char *verb, const Reason *reason)
{
	if (verb)
		reason_tell(verb, NULL, reason->text);
	else
		(void)fprintf(stderr, "crontab: %s\n", reason->text);
	return CRON_NOT_STORED;
}

CronInstalled cron_install(const char *verb, const char *label, const char *text, size_t n, const char *before)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_close_ int folder_fd = -EBADF;
	Reason reason = { "out of memory" };

	if (crontab_parse(text, n, &crontab) < 0)
		return failed(verb, &reason);
	if (crontab->n_faults) {
		cron_tell_faults(crontab, label);
		return CRON_REFUSED;
	}
	if (manager_connect(&manager, &reason) < 0)
		return failed(verb, &reason);
	folder_fd = store_lock(&reason);
	if (folder_fd < 0)
		return failed(verb, &reason);
	if (before && !is_unchanged(before))
		return CRON_CHANGED;
	(void)store_boot();
	if (store_write(folder_fd, text, n, &reason) < 0)
		return failed(verb, &reason);
	if (reload(manager, crontab, &reason) < 0) {
		(void)fprintf(stderr, "the crontab is stored, and will hold when the user manager is started next\n");
		return failed(verb, &reason);
	}
	for (size_t i = 0; i < crontab->n; i++)
		if (!crontab->entries[i].spec.reboot && !cron_spec_ever(&crontab->entries[i].spec))
			(void)fprintf(stderr, "note: line %u: %s is a day that never comes\n", crontab->entries[i].line,
				crontab->entries[i].expression);
	if (crontab->mail)
		(void)fprintf(stderr,
			"note: MAILTO is set, but nobody is sent anything: what an entry writes is in the "
			"journal: creel cron logs NAME\n");
	return CRON_INSTALLED;
}

int cron_uninstall(Reason *ret_reason)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	_cleanup_close_ int folder_fd = -EBADF;
	int r;

	r = manager_connect(&manager, ret_reason);
	if (r < 0)
		return r;
	folder_fd = store_lock(ret_reason);
	if (folder_fd < 0)
		return folder_fd;
	r = store_remove(folder_fd, ret_reason);
	return r < 0 ? r : reload(manager, &(const Crontab){ .n = 0 }, ret_reason);
}

/* SPDX-License-Identifier: MIT */
/* Of what runs, or should: servers, units, the crontab, PID files, limits. */
#include "shell/base/str.h"
#include "shell/jobs/cron/crontab.h"
#include "shell/jobs/cron/store.h"
#include "shell/jobs/manager.h"
#include "shell/jobs/mistakes.h"
#include "shell/jobs/pids-folder.h"
#include "shell/jobs/service.h"

#include <string.h>

int mistakes_servers(const Scene *scene, Mistakes *ret)
{
	for (size_t i = 0; i < scene->gathered->rows.n; i++) {
		const Row *row = &scene->gathered->rows.items[i];

		for (size_t k = 0; k < row->n_ports; k++) {
			Reason reason;

			/* where the policy opens a port, others are to come */
			if (row->ports[k].reach != REACH_LOOPBACK ||
				service_port_allowed(row->ports[k].port, &reason) < 0)
				continue;
			if (mistakes_add(ret,
				    "let it bind to 0.0.0.0 where others are to reach it; where only this machine is, "
				    "all is well",
				    "%s %s listens on port %u of loopback alone: nobody reaches it from outside",
				    row_kind_name(row->kind), row->name, row->ports[k].port) < 0)
				return -ENOMEM;
		}
	}
	return 0;
}

static int failed_rows(const Scene *scene, Mistakes *ret)
{
	for (size_t i = 0; i < scene->gathered->rows.n; i++) {
		const Row *row = &scene->gathered->rows.items[i];
		_cleanup_free_ char *word = NULL, *way_out = NULL;

		if (!row->bad)
			continue;
		word = str_shell_word(row->name);
		if (word)
			way_out = str_format("creel logs %s says why; creel stop %s forgets it", word, word);
		if (!way_out || mistakes_add(ret, way_out, "%s %s: %s%s%s", row_kind_name(row->kind), row->name,
					row->state, row->health ? ": " : "", row->health ? row->health : "") < 0)
			return -ENOMEM;
	}
	return 0;
}

/* systemd forgets a file that it could not read as soon as nobody asks: the files say which to ask for. */
static int broken_files(Manager *manager, Mistakes *ret)
{
	_cleanup_strlist_ StrList names = { 0 };
	Reason reason;

	if (service_names(&names, &reason) < 0)
		return mistakes_add(ret, "ls -la ~/.config/systemd/user", "%s", reason.text);
	for (size_t i = 0; i < names.n; i++) {
		_cleanup_free_ char *unit_name = str_format("%s" SERVICE_SUFFIX, names.items[i]), *word = NULL,
				    *way_out = NULL;
		_cleanup_unit_ Unit unit = { 0 };

		word = unit_name ? str_shell_word(unit_name) : NULL;
		if (!word)
			return -ENOMEM;
		if (manager_unit(manager, unit_name, &unit, &reason) < 0 ||
			(strcmp(unit.load, "bad-setting") != 0 && strcmp(unit.load, "error") != 0))
			continue;
		way_out = str_format(
			"systemd-analyze --user verify ~/.config/systemd/user/%s names the line; then systemctl --user "
			"daemon-reload",
			word);
		if (!way_out || mistakes_add(ret, way_out, "%s: systemd cannot read it: %s", unit_name, unit.load) < 0)
			return -ENOMEM;
	}
	return 0;
}

int mistakes_units(const Scene *scene, Mistakes *ret)
{
	_cleanup_(manager_freep) Manager *manager = NULL;
	Reason reason;
	int r;

	if (manager_connect(&manager, &reason) < 0)
		return mistakes_add(ret, "without it there are no services, jobs and cron entries", "%s", reason.text);
	r = broken_files(manager, ret);
	return r < 0 ? r : failed_rows(scene, ret);
}

int mistakes_cron(const Scene *scene, Mistakes *ret)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;
	_cleanup_free_ char *text = NULL;
	Reason reason;
	size_t n;
	int r = store_read(&text, &n, &reason);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return mistakes_add(ret, "crontab FILE writes it anew", "the crontab cannot be read: %s", reason.text);
	if (crontab_parse(text, n, &crontab) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < crontab->n_faults && i < CRONTAB_FAULTS_MAX; i++)
		if (mistakes_add(ret, "crontab -e: this line starts nothing until it is mended", "crontab, line %u: %s",
			    crontab->faults[i].line, crontab->faults[i].text) < 0)
			return -ENOMEM;
	return 0;
}

int mistakes_pids(const Scene *scene, Mistakes *ret)
{
	_cleanup_named_pids_ NamedPids pids = { 0 };
	int r = named_pids_read(&pids);

	for (size_t i = 0; r == 0 && i < pids.n; i++) {
		const NamedPid *one = &pids.items[i];
		_cleanup_free_ char *file = NULL, *word = NULL, *way_out = NULL;

		if (one->is == PIDFILE_ALIVE)
			continue;
		file = str_format("%s.pid", one->name);
		word = file ? str_shell_word(file) : NULL;
		if (!word)
			return -ENOMEM;
		way_out = str_format("rm ~/pids/%s; %s", word,
			one->is == PIDFILE_REUSED
				? "do not kill by it"
				: "if it should run, start it anew: creel job start says when it ends");
		if (!way_out)
			return -ENOMEM;
		if (one->is == PIDFILE_BROKEN)
			r = mistakes_add(ret, way_out, "~/pids/%s.pid has no number in it", one->name);
		else if (one->is == PIDFILE_REUSED)
			r = mistakes_add(ret, way_out, "~/pids/%s.pid names process %d, which is another one by now",
				one->name, (int)one->pid);
		else
			r = mistakes_add(ret, way_out, "~/pids/%s.pid names process %d, which is not there", one->name,
				(int)one->pid);
	}
	return r;
}

int mistakes_strays(const Scene *scene, Mistakes *ret)
{
	for (size_t i = 0; i < scene->gathered->rows.n; i++) {
		const Row *row = &scene->gathered->rows.items[i];
		_cleanup_free_ char *way_out = NULL;

		if (row->kind != ROW_STRAY || !row->pid)
			continue;
		way_out = str_format(
			"creel stop %d ends it; creel job start NAME -- COMMAND keeps PID file, log and exit status",
			(int)row->pid);
		if (!way_out ||
			mistakes_add(ret, way_out, "process %d (%s) was left behind, and no file in ~/pids names it",
				(int)row->pid, row->name) < 0)
			return -ENOMEM;
	}
	return 0;
}

int mistakes_limits(const Scene *scene, Mistakes *ret)
{
	const Meters *meters = scene->meters;

	for (size_t i = 0; i < meters->n; i++) {
		const Meter *meter = &meters->items[i];
		char text[96];

		if (meter_level(meter) != METER_OK &&
			mistakes_add(ret, meter_way_out(meter), "%s is nearly full: %s, %d%%", meter->name,
				meter_text(meter, text, sizeof(text)), meter_percent(meter)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* SPDX-License-Identifier: MIT */
/* A crontab: whatever it is, its entries are sound, and what the service manager is told of them has no line of somebody else's. */
#include "shell/jobs/cron/crontab.h"
#include "shell/jobs/cron/schedule.h"
#include "shell/jobs/cron/units.h"
#include "shell/jobs/name.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* Each line has a key that units of ours have. */
static void check_text(const char *text)
{
	static const char *const keys[] = { "# ", "[",
		"Description=cron: ", "Documentation=", "SourcePath=", "OnCalendar=", "AccuracySec=",
		"RandomizedDelaySec=", "Persistent=", "StartLimitIntervalSec=", "Type=exec",
		"KillMode=", "WorkingDirectory=-/", "Environment=", "ExecCondition=\"", "ExecStart=:\"/",
		"StandardInput=data", "StandardInputData=", "SyslogIdentifier=cron-" };

	for (; *text; text = strchr(text, '\n') + 1) {
		size_t i = 0, length = strcspn(text, "\n");

		while (i < ELEMENTSOF(keys) && strncmp(text, keys[i], strlen(keys[i])) != 0)
			i++;
		if (i == ELEMENTSOF(keys) && length)
			abort();
		/* it would go on in the next line */
		if (length && text[length - 1] == '\\')
			abort();
	}
}

static void check_entry(const Crontab *crontab, const CronEntry *entry)
{
	static ZoneChange changes[] = { { 29580000, 60, 120 }, { 29881440, 120, 60 } };
	static const Zone zone = { changes, 2, 60 };
	CronPlace place = { "/home/agent", "/home/agent/.config/creel/crontab", "/usr/bin/creel", &zone, 1774000000 };
	_cleanup_free_ char *timer = NULL, *service = NULL;
	char words[64];
	int64_t minute;
	Reason reason;

	if (crontab_find(crontab, entry->id) != entry || jobs_name_check(entry->id, &reason) < 0 ||
		strchr(entry->command, '\n'))
		abort();
	if (!entry->spec.reboot && (!entry->spec.minutes || !entry->spec.hours || !entry->spec.days ||
					   !entry->spec.months || !entry->spec.weekdays))
		abort();
	if (schedule_next(&entry->spec, &zone, 29579000, 29579000 + 3000, &minute) == 0 &&
		!schedule_starts(&entry->spec, &zone, minute))
		abort();
	(void)cron_spec_words(&entry->spec, entry->expression, words, sizeof(words));
	if (cron_service_text(entry, &place, &service) == 0)
		check_text(service);
	if (cron_timer_text(entry, &place, &timer) == 0)
		check_text(timer);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	_cleanup_(crontab_freep) Crontab *crontab = NULL;

	if (crontab_parse((const char *)data, n, &crontab) < 0)
		return 0;
	for (size_t i = 0; i < crontab->n; i++)
		check_entry(crontab, &crontab->entries[i]);
	return 0;
}

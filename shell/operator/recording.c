/* SPDX-License-Identifier: MIT */
/* What an operator changed by creelctl goes into the record: the words, what came of them, and who logged in at the beginning. */
#include "shell/operator/operator.h"
#include "shell/audit/record.h"
#include "shell/audit/redact.h"
#include "shell/base/file.h"
#include "shell/base/rate.h"

#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <syslog.h>

/* The user that logged in, whatever it became since (pam_loginuid(8)); without such a login, root. */
static const char *login_name(void)
{
	const struct passwd *user;
	char text[24];
	uint64_t uid;

	if (file_get_at(AT_FDCWD, "/proc/self/loginuid", text, sizeof(text)) < 0 ||
		str_to_u64(text, UINT32_MAX - 1, &uid) < 0)
		uid = 0;
	user = getpwuid((uid_t)uid);
	return user ? user->pw_name : "?";
}

static char *join(int argc, char **argv)
{
	char *text = NULL;
	size_t size;
	FILE *file = open_memstream(&text, &size);

	if (!file)
		return NULL;
	(void)fputs("creelctl", file);
	for (int i = 0; i < argc; i++)
		(void)fprintf(file, " %s", argv[i]);
	if (fclose(file) == 0)
		return text;
	free(text);
	return NULL;
}

/* journald adds the sender's command line to each entry (_CMDLINE, systemd.journal-fields(7)), as /proc has it: secrets of its words, too. */
static void forget(int argc, char **argv)
{
	for (int i = 0; i < argc; i++)
		explicit_bzero(argv[i], strlen(argv[i]));
}

void operator_record(const char *agent, int argc, char **argv, int status, uint64_t began_usec)
{
	_cleanup_(entry_done) RecordEntry entry = { 0 };
	_cleanup_(record_freep) Record *record = NULL;
	_cleanup_free_ char *words = join(argc, argv);
	const char *user = login_name();
	char shown[200];

	if (!words || record_new("creelctl", &record) < 0)
		return;
	entry_number(&entry, "PRIORITY", status ? LOG_WARNING : LOG_NOTICE);
	entry_text(&entry, "CREEL_KIND", "operator");
	entry_text(&entry, "CREEL_AGENT", agent);
	entry_text(&entry, "CREEL_USER", user);
	entry_format(&entry, "MESSAGE", "%s: %s: exit %d", user, redact_quote(words, shown, sizeof(shown)), status);
	entry_text(&entry, "CREEL_COMMAND", words);
	entry_text(&entry, "CREEL_RESULT", "exit");
	entry_number(&entry, "CREEL_EXIT", (uint64_t)status);
	entry_number(&entry, "CREEL_DURATION_USEC", clock_monotonic_usec() - began_usec);
	forget(argc, argv);
	/* an operator is not kept from working by a journal that is down */
	if (record_send(record, &entry) < 0 || record_waits(record))
		(void)fprintf(stderr, "creelctl: this could not be recorded: journal namespace creel takes nothing\n");
}

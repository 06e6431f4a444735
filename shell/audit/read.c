/* SPDX-License-Identifier: MIT */
/*
 * Anybody who could write to the namespace's socket could write any CREEL_ field, so entries are matched by
 * _UID=, which journald sets itself. The library cuts fields at 64 KiB unless told not to; a cut command in a
 * record would be a lie.
 */
#include "shell/audit/read.h"
#include "shell/audit/record.h"
#include "shell/base/str.h"

#include <string.h>
#include <stdarg.h>
#include <systemd/sd-journal.h>

typedef struct FieldSlot {
	const char *field;
	size_t offset;
} FieldSlot;

#define SLOT(name, member)                         \
	{                                          \
		name, offsetof(RecordView, member) \
	}

static const FieldSlot slots[] = {
	SLOT("CREEL_KIND", kind),
	SLOT("CREEL_AGENT", agent),
	SLOT("CREEL_SESSION", session),
	SLOT("CREEL_PEER", peer),
	SLOT("CREEL_KEY", key),
	SLOT("CREEL_COMMAND", command),
	SLOT("CREEL_RESULT", result),
	SLOT("CREEL_EXIT", exit),
	SLOT("CREEL_SIGNAL", signal),
	SLOT("CREEL_REASON", reason),
	SLOT("CREEL_DURATION_USEC", duration_usec),
	SLOT("CREEL_CPU_USEC", cpu_usec),
	SLOT("CREEL_MEMORY_PEAK", memory_peak),
	SLOT("MESSAGE", message),
	SLOT("SYSLOG_IDENTIFIER", identifier),
	SLOT("CREEL_LOST", lost),
	SLOT("CREEL_CHANNEL", channel),
	SLOT("CREEL_DOOR", door),
	SLOT("CREEL_OOM_KILLS", oom_kills),
	SLOT("CREEL_RUN", run),
	SLOT("CREEL_LANGUAGE", language),
	SLOT("CREEL_LABEL", label),
	SLOT("CREEL_REPL", repl),
	SLOT("CREEL_CALLER", caller),
	SLOT("CREEL_CODE", code),
	SLOT("CREEL_CODE_BYTES", code_bytes),
	SLOT("CREEL_STDOUT", output),
	SLOT("CREEL_STDOUT_BYTES", output_bytes),
	SLOT("CREEL_STDERR", error_output),
	SLOT("CREEL_STDERR_BYTES", error_bytes),
	SLOT("CREEL_STATE", state),
};

static void journal_closep(sd_journal **journal)
{
	sd_journal_close(*journal);
}

/* Our own copy of a field's value: the journal's memory lives only until the next call. */
static int field_copy(sd_journal *journal, const char *field, char **ret)
{
	size_t n = strlen(field) + 1, size;
	const void *data;
	int r;

	r = sd_journal_get_data(journal, field, &data, &size);
	if (r == -ENOENT) {
		*ret = NULL;
		return 0;
	}
	if (r < 0)
		return r;
	if (size < n)
		return -EBADMSG;
	*ret = strndup((const char *)data + n, size - n);
	return *ret ? 0 : -ENOMEM;
}

static int entry_show(sd_journal *journal, void (*show)(const RecordView *, void *), void *data)
{
	_cleanup_free_ char *uid = NULL;
	RecordView view = { 0 };
	int r = 0;

	for (size_t i = 0; i < ELEMENTSOF(slots) && r >= 0; i++)
		r = field_copy(journal, slots[i].field, (char **)((char *)&view + slots[i].offset));
	if (r >= 0)
		r = field_copy(journal, "_UID", &uid);
	if (r >= 0)
		r = sd_journal_get_realtime_usec(journal, &view.realtime_usec);
	if (r >= 0) {
		view.trusted = str_equal(uid, "0");
		show(&view, data);
	}
	for (size_t i = 0; i < ELEMENTSOF(slots); i++)
		free(*(char **)((char *)&view + slots[i].offset));
	return r;
}

static int add_match(sd_journal *journal, const char *format, ...) _printf_(2, 3);

static int add_match(sd_journal *journal, const char *format, ...)
{
	_cleanup_free_ char *match = NULL;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&match, format, ap);
	va_end(ap);
	if (n < 0) {
		match = NULL;
		return -ENOMEM;
	}
	return sd_journal_add_match(journal, match, (size_t)n);
}

static int add_matches(sd_journal *journal, const RecordFilter *filter)
{
	static const char *const kinds[] = { "login", "logout", "command", "refusal", "keeper", "run-start", "run" };
	int r;

	/* matches of one field are alternatives, those of different fields must all hold */
	r = add_match(journal, "_UID=0");
	if (r >= 0 && filter->front_uid != (uid_t)-1)
		r = add_match(journal, "_UID=%u", filter->front_uid);
	for (size_t i = 0; i < ELEMENTSOF(kinds) && r >= 0; i++)
		r = add_match(journal, "CREEL_KIND=%s", kinds[i]);
	if (r >= 0 && filter->agent)
		r = add_match(journal, "CREEL_AGENT=%s", filter->agent);
	return r;
}

int record_read(const RecordFilter *filter, void (*show)(const RecordView *view, void *data), void *data)
{
	_cleanup_(journal_closep) sd_journal *journal = NULL;
	uint64_t back = 0;
	int r, shown = 0;

	r = sd_journal_open_namespace(&journal, RECORD_NAMESPACE, 0);
	if (r < 0)
		return r;
	r = sd_journal_set_data_threshold(journal, 0);
	if (r < 0)
		return r;
	r = add_matches(journal, filter);
	if (r < 0)
		return r;

	/* back from the end, then forward to it */
	r = sd_journal_seek_tail(journal);
	if (r < 0)
		return r;
	while (back < filter->count) {
		r = sd_journal_previous(journal);
		if (r < 0)
			return r;
		if (r == 0)
			break;
		back++;
	}
	if (back < filter->count) {
		r = sd_journal_seek_head(journal);
		if (r < 0)
			return r;
		r = sd_journal_next(journal);
	} else {
		r = back > 0;
	}
	while (r > 0 && back-- > 0) {
		r = entry_show(journal, show, data);
		if (r < 0)
			return r;
		shown++;
		r = sd_journal_next(journal);
	}
	return r < 0 ? r : shown;
}

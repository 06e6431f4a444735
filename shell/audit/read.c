/* SPDX-License-Identifier: MIT */
/*
 * Anybody who could write to the namespace's socket could write any CREEL_ field, so entries are matched by
 * _UID=, which journald sets itself. The library cuts fields at 64 KiB unless told not to; a cut command in a
 * record would be a lie.
 */
#include "shell/audit/read.h"
#include "shell/audit/kinds.h"
#include "shell/audit/record.h"
#include "shell/base/str.h"

#include <stdarg.h>
#include <string.h>
#include <systemd/sd-journal.h>

typedef struct FieldRow {
	const char *field, *key;
	bool number;
} FieldRow;

static const FieldRow rows[RECORD_FIELDS] = {
	[RECORD_KIND] = { "CREEL_KIND", "kind" },
	[RECORD_AGENT] = { "CREEL_AGENT", "agent" },
	[RECORD_SESSION] = { "CREEL_SESSION", "session" },
	[RECORD_DOOR] = { "CREEL_DOOR", "door" },
	[RECORD_PEER] = { "CREEL_PEER", "peer" },
	[RECORD_USER] = { "CREEL_USER", "user" },
	[RECORD_KEY] = { "CREEL_KEY", "key" },
	[RECORD_CHANNEL] = { "CREEL_CHANNEL", "channel", true },
	[RECORD_COMMAND] = { "CREEL_COMMAND", "command" },
	[RECORD_ORIGINAL] = { "CREEL_ORIGINAL_COMMAND", "original_command" },
	[RECORD_PROGRAM] = { "CREEL_PROGRAM", "program" },
	[RECORD_ARGUMENTS] = { "CREEL_ARGUMENTS", "arguments" },
	[RECORD_PID] = { "CREEL_PID", "pid", true },
	[RECORD_PARENT] = { "CREEL_PARENT", "parent", true },
	[RECORD_UNIT] = { "CREEL_UNIT", "unit" },
	[RECORD_RUN] = { "CREEL_RUN", "run" },
	[RECORD_LANGUAGE] = { "CREEL_LANGUAGE", "language" },
	[RECORD_LABEL] = { "CREEL_LABEL", "label" },
	[RECORD_REPL] = { "CREEL_REPL", "repl" },
	[RECORD_CALLER] = { "CREEL_CALLER", "caller" },
	[RECORD_CODE] = { "CREEL_CODE", "code" },
	[RECORD_CODE_BYTES] = { "CREEL_CODE_BYTES", "code_bytes", true },
	[RECORD_HOST] = { "CREEL_HOST", "host" },
	[RECORD_PORT] = { "CREEL_PORT", "port", true },
	[RECORD_CHANGE] = { "CREEL_CHANGE", "change" },
	[RECORD_SECRET] = { "CREEL_SECRET", "secret" },
	[RECORD_RECORDING] = { "CREEL_RECORDING", "recording" },
	[RECORD_RESULT] = { "CREEL_RESULT", "result" },
	[RECORD_EXIT] = { "CREEL_EXIT", "exit", true },
	[RECORD_SIGNAL] = { "CREEL_SIGNAL", "signal" },
	[RECORD_REASON] = { "CREEL_REASON", "reason" },
	[RECORD_DURATION] = { "CREEL_DURATION_USEC", "duration_usec", true },
	[RECORD_CPU] = { "CREEL_CPU_USEC", "cpu_usec", true },
	[RECORD_MEMORY_PEAK] = { "CREEL_MEMORY_PEAK", "memory_peak", true },
	[RECORD_OOM_KILLS] = { "CREEL_OOM_KILLS", "oom_kills", true },
	[RECORD_STDOUT] = { "CREEL_STDOUT", "stdout" },
	[RECORD_STDOUT_BYTES] = { "CREEL_STDOUT_BYTES", "stdout_bytes", true },
	[RECORD_STDERR] = { "CREEL_STDERR", "stderr" },
	[RECORD_STDERR_BYTES] = { "CREEL_STDERR_BYTES", "stderr_bytes", true },
	[RECORD_STATE] = { "CREEL_STATE", "state" },
	[RECORD_REDACTED] = { "CREEL_REDACTED", "redacted", true },
	[RECORD_CUT] = { "CREEL_CUT", "cut", true },
	[RECORD_SUPPRESSED] = { "CREEL_SUPPRESSED", "suppressed", true },
	[RECORD_LOST] = { "CREEL_LOST", "lost_before", true },
	[RECORD_MESSAGE] = { "MESSAGE", "message" },
};

const char *record_field_key(RecordField field, bool *ret_number)
{
	*ret_number = rows[field].number;
	return rows[field].key;
}

uint64_t record_number(const RecordView *view, RecordField field)
{
	uint64_t value;

	/* sums of them are made: a field that says more than any real one is none */
	return view->values[field] && str_to_u64(view->values[field], UINT64_MAX / 1024, &value) == 0 ? value : 0;
}

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

/* One that waited for the journal has the time at which it happened in it. */
static int entry_time(sd_journal *journal, uint64_t *ret)
{
	_cleanup_free_ char *text = NULL;
	int r;

	r = sd_journal_get_realtime_usec(journal, ret);
	if (r >= 0)
		r = field_copy(journal, "CREEL_TIME_USEC", &text);
	if (r >= 0 && text)
		(void)!str_to_u64(text, UINT64_MAX, ret);
	return r < 0 ? r : 0;
}

static int entry_show(sd_journal *journal, int (*show)(const RecordView *, void *), void *data)
{
	_cleanup_free_ char *uid = NULL;
	RecordView view = { 0 };
	int r = 0;

	for (size_t i = 0; i < RECORD_FIELDS && r >= 0; i++)
		r = field_copy(journal, rows[i].field, (char **)&view.values[i]);
	if (r >= 0)
		r = field_copy(journal, "_UID", &uid);
	if (r >= 0)
		r = entry_time(journal, &view.realtime_usec);
	if (r >= 0) {
		view.trusted = str_equal(uid, "0");
		r = show(&view, data);
	}
	for (size_t i = 0; i < RECORD_FIELDS; i++)
		free((char *)view.values[i]);
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

static bool result_is_word(const char *result)
{
	return strcmp(result, "ok") == 0 || strcmp(result, "failed") == 0;
}

static int add_matches(sd_journal *journal, const RecordFilter *filter)
{
	int r;

	/* matches of one field are alternatives, those of different fields must all hold */
	r = add_match(journal, "_UID=0");
	if (r >= 0 && filter->front_uid != (uid_t)-1)
		r = add_match(journal, "_UID=%u", filter->front_uid);
	for (size_t i = 0; record_kind(i) && !filter->kind && r >= 0; i++)
		r = add_match(journal, "CREEL_KIND=%s", record_kind(i));
	if (r >= 0 && filter->kind)
		r = add_match(journal, "CREEL_KIND=%s", filter->kind);
	if (r >= 0 && filter->agent)
		r = add_match(journal, "CREEL_AGENT=%s", filter->agent);
	if (r >= 0 && filter->session)
		r = add_match(journal, "CREEL_SESSION=%s", filter->session);
	if (r >= 0 && filter->run)
		r = add_match(journal, "CREEL_RUN=%s", filter->run);
	if (r >= 0 && filter->result && !result_is_word(filter->result))
		r = add_match(journal, "CREEL_RESULT=%s", filter->result);
	if (r >= 0 && filter->uid != (uid_t)-1)
		r = add_match(journal, "CREEL_UID=%u", filter->uid);
	return r;
}

/* Without a result it is neither. */
static int result_fits(sd_journal *journal, const char *wanted)
{
	_cleanup_free_ char *result = NULL, *status = NULL;
	bool ok;
	int r;

	if (!wanted || !result_is_word(wanted))
		return true;
	r = field_copy(journal, "CREEL_RESULT", &result);
	if (r >= 0)
		r = field_copy(journal, "CREEL_EXIT", &status);
	if (r < 0)
		return r;
	if (!result)
		return false;
	ok = strcmp(result, "exit") == 0 ? str_equal(status, "0")
					 : strcmp(result, "completed") == 0 || strcmp(result, "connected") == 0 ||
						   strcmp(result, "done") == 0;
	return ok == (strcmp(wanted, "ok") == 0);
}

/* 1: it is one of those that are looked for; 0: it is none; -ESTALE: it is behind them. */
static int entry_fits(sd_journal *journal, const RecordFilter *filter)
{
	uint64_t at;
	int r;

	r = sd_journal_get_realtime_usec(journal, &at);
	if (r < 0)
		return r;
	if (filter->until_usec && at > filter->until_usec)
		return 0;
	if (filter->since_usec && at < filter->since_usec)
		return -ESTALE;
	return result_fits(journal, filter->result);
}

/* Goes to the first of the entries that are wanted. Returns 1, or 0 where there is none. */
static int seek(sd_journal *journal, const RecordFilter *filter)
{
	_cleanup_free_ char *first = NULL;
	uint64_t found = 0;
	int r;

	if (filter->after) {
		r = sd_journal_seek_cursor(journal, filter->after);
		if (r >= 0)
			r = sd_journal_next(journal);
		/* it may be gone, with the entries of its time */
		return r > 0 && sd_journal_test_cursor(journal, filter->after) > 0 ? sd_journal_next(journal) : r;
	}
	if (filter->count == UINT64_MAX) {
		r = filter->since_usec ? sd_journal_seek_realtime_usec(journal, filter->since_usec)
				       : sd_journal_seek_head(journal);
		return r < 0 ? r : sd_journal_next(journal);
	}
	r = filter->until_usec ? sd_journal_seek_realtime_usec(journal, filter->until_usec + 1)
			       : sd_journal_seek_tail(journal);
	while (r >= 0 && found < filter->count) {
		r = sd_journal_previous(journal);
		if (r <= 0)
			break;
		r = entry_fits(journal, filter);
		if (r <= 0)
			continue;
		free(TAKE_PTR(first));
		r = sd_journal_get_cursor(journal, &first);
		found++;
	}
	if (r < 0 && r != -ESTALE)
		return r;
	if (!found)
		return 0;
	r = sd_journal_seek_cursor(journal, first);
	return r < 0 ? r : sd_journal_next(journal);
}

static int cursor_keep(sd_journal *journal, char **slot)
{
	char *cursor;
	int r = sd_journal_get_cursor(journal, &cursor);

	if (r < 0)
		return r;
	free(*slot);
	*slot = cursor;
	return 0;
}

static int show_from_here(
	sd_journal *journal, const RecordFilter *filter, int (*show)(const RecordView *view, void *data), void *data)
{
	int r;

	do {
		r = entry_fits(journal, filter);
		if (r == 1)
			r = entry_show(journal, show, data);
		if (r == 0 && filter->ret_last)
			r = cursor_keep(journal, filter->ret_last);
		else if (r == -ESTALE)
			r = 0;
		if (r == 0)
			r = sd_journal_next(journal) > 0 ? 0 : -ENODATA;
	} while (r == 0);
	return r == -ENODATA ? 0 : r;
}

static int follow(
	sd_journal *journal, const RecordFilter *filter, int (*show)(const RecordView *view, void *data), void *data)
{
	int r;

	do {
		r = sd_journal_wait(journal, UINT64_MAX);
		if (r < 0)
			return r;
		r = sd_journal_next(journal);
		if (r > 0)
			r = show_from_here(journal, filter, show, data);
	} while (r == 0);
	return r;
}

int record_read(const RecordFilter *filter, int (*show)(const RecordView *view, void *data), void *data)
{
	_cleanup_(journal_closep) sd_journal *journal = NULL;
	int r;

	r = sd_journal_open_namespace(&journal, RECORD_NAMESPACE, 0);
	if (r >= 0)
		r = sd_journal_set_data_threshold(journal, 0);
	/* before what is there is read: what comes meanwhile is not missed */
	if (r >= 0 && filter->follow)
		r = sd_journal_get_fd(journal);
	if (r >= 0)
		r = add_matches(journal, filter);
	if (r < 0)
		return r;
	r = filter->count ? seek(journal, filter) : 0;
	if (r > 0) {
		r = show_from_here(journal, filter, show, data);
	} else if (r == 0 && filter->follow) {
		/* behind what is there now */
		r = sd_journal_seek_tail(journal);
		if (r >= 0)
			r = sd_journal_previous(journal);
		r = r < 0 ? r : 0;
	}
	return r == 0 && filter->follow ? follow(journal, filter, show, data) : r;
}

int record_disk_use(uint64_t *ret)
{
	_cleanup_(journal_closep) sd_journal *journal = NULL;
	int r = sd_journal_open_namespace(&journal, RECORD_NAMESPACE, 0);

	return r < 0 ? r : sd_journal_get_usage(journal, ret);
}

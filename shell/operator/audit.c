/* SPDX-License-Identifier: MIT */
/* creelctl audit list, show, follow, export: the record's entries, for people and as JSON lines. */
#include "shell/operator/audit.h"
#include "shell/audit/kinds.h"
#include "shell/audit/show.h"
#include "shell/base/rate.h"
#include "shell/bus/bus.h"

#include <pwd.h>
#include <string.h>

#define COUNT_DEFAULT 50U
#define COUNT_MAX 1000000U

static int complain(const char *what, const char *word, const char *way_out)
{
	char shown[96];

	(void)fprintf(stderr, "creelctl: %s: `%s` is none: %s\n", what,
		str_quote(word, strlen(word), shown, sizeof(shown)), way_out);
	return -EINVAL;
}

static bool is_word(const char *text)
{
	return *text && strlen(text) <= 64 &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.") == strlen(text);
}

static int moment(const char *option, const char *text, uint64_t *ret)
{
	if (!text || when_parse(text, clock_realtime_usec(), ret) == 0)
		return 0;
	return complain(option, text,
		"2026-11-22, \"2026-11-22 10:30\", today, yesterday, @SECONDS, or how long ago: 15m, 2h, 7d");
}

int audit_filter(const AuditWords *words, RecordFilter *ret)
{
	const struct passwd *front = getpwnam(FRONT_USER);
	RecordFilter filter = {
		.agent = words->agent,
		.session = words->session,
		.kind = words->kind,
		.result = words->result,
		.count = COUNT_DEFAULT,
		.front_uid = front ? front->pw_uid : (uid_t)-1,
		.uid = (uid_t)-1,
	};
	char kinds[RECORD_KINDS_SIZE];

	if (filter.agent && !policy_name_valid(filter.agent))
		return complain("--agent", filter.agent, "a name of an agent, as creelctl agent list shows");
	if (filter.session && !is_word(filter.session))
		return complain("session", filter.session, "an id of a session, as creelctl session list shows");
	if (filter.kind && !record_kind_known(filter.kind))
		return complain("--kind", filter.kind, record_kinds(kinds));
	if (filter.result && !is_word(filter.result))
		return complain(
			"--result", filter.result, "ok, failed, or a result as it was recorded, such as refused");
	if (words->count && str_to_u64(words->count, COUNT_MAX, &filter.count) < 0 && strcmp(words->count, "all") != 0)
		return complain("-n", words->count, "a number up to 1000000, or all");
	if (words->count && strcmp(words->count, "all") == 0)
		filter.count = UINT64_MAX;
	if (moment("--since", words->since, &filter.since_usec) < 0 ||
		moment("--until", words->until, &filter.until_usec) < 0)
		return -EINVAL;
	if (filter.since_usec && filter.until_usec && filter.since_usec > filter.until_usec) {
		(void)fprintf(stderr, "creelctl: --since is later than --until\n");
		return -EINVAL;
	}
	*ret = filter;
	return 0;
}

int audit_failed(int r)
{
	(void)fprintf(stderr, "creelctl: journal namespace creel: %s%s\n", strerror(-r),
		r == -ENOENT ? "; nothing was recorded yet, or systemd-journald@creel does not run" : "");
	return EXIT_FAILURE;
}

/* A reader that went away ends it, as does a full disk. */
static int flushed(void)
{
	return fflush(stdout) != 0 || ferror(stdout) ? 1 : 0;
}

static int show_line(const RecordView *view, void *data)
{
	record_show_line(stdout, view);
	return flushed();
}

static int show_json(const RecordView *view, void *data)
{
	record_show_json(stdout, view);
	return flushed();
}

static int show_whole(const RecordView *view, void *data)
{
	bool *found = data;

	*found = true;
	record_show_whole(stdout, view);
	return flushed();
}

static int read_all(const RecordFilter *filter, bool json)
{
	int r = record_read(filter, json ? show_json : show_line, NULL);

	return r < 0 ? audit_failed(r) : EXIT_SUCCESS;
}

int audit_list_main(int argc, char **argv)
{
	AuditWords words = { 0 };
	bool json = false;
	const WordOption options[] = { AUDIT_OPTIONS(words), { "-n", .value = &words.count },
		{ "--json", .flag = &json }, { NULL } };
	RecordFilter filter;

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	return audit_filter(&words, &filter) < 0 ? EXIT_FAILURE : read_all(&filter, json);
}

int audit_follow_main(int argc, char **argv)
{
	AuditWords words = { .count = "10" };
	bool json = false;
	const WordOption options[] = { AUDIT_OPTIONS(words), { "-n", .value = &words.count },
		{ "--json", .flag = &json }, { NULL } };
	RecordFilter filter;

	if (words_parse(argc, argv, options, NULL) < 0 || words.until)
		return EXIT_USAGE;
	if (audit_filter(&words, &filter) < 0)
		return EXIT_FAILURE;
	filter.follow = true;
	return read_all(&filter, json);
}

static int watch_line(const RecordView *view, void *data)
{
	int r = *(bool *)data ? show_json(view, NULL) : show_line(view, NULL);

	/* nothing of this session comes behind that */
	return r ? r : str_equal(view->values[RECORD_KIND], "logout");
}

static int note_one(const RecordView *view, void *data)
{
	*(bool *)data = true;
	return 1;
}

/* To wait for one that never was would be for ever. */
static int watch(const RecordFilter *filter, bool json)
{
	RecordFilter look = *filter;
	bool found = false;
	int r;

	look.count = 1;
	r = record_read(&look, note_one, &found);
	if (r >= 0 && !found) {
		(void)fprintf(stderr, "creelctl: nothing of session `%s` is in the record: see creelctl session list\n",
			filter->session);
		return EXIT_FAILURE;
	}
	look.count = filter->count;
	look.follow = true;
	if (r >= 0)
		r = record_read(&look, watch_line, &json);
	return r < 0 ? audit_failed(r) : EXIT_SUCCESS;
}

int session_watch_main(int argc, char **argv)
{
	AuditWords words = { .count = "all" };
	bool json = false;
	const WordOption options[] = { { "--json", .flag = &json }, { NULL } };
	RecordFilter filter;

	if (words_parse(argc, argv, options, &words.session) < 0 || !words.session)
		return EXIT_USAGE;
	return audit_filter(&words, &filter) < 0 ? EXIT_FAILURE : watch(&filter, json);
}

int audit_export_main(int argc, char **argv)
{
	AuditWords words = { .count = "all" };
	const WordOption options[] = { AUDIT_OPTIONS(words), { NULL } };
	RecordFilter filter;

	if (words_parse(argc, argv, options, NULL) < 0)
		return EXIT_USAGE;
	return audit_filter(&words, &filter) < 0 ? EXIT_FAILURE : read_all(&filter, true);
}

int audit_show_main(int argc, char **argv)
{
	AuditWords words = { .count = "all" };
	const WordOption options[] = { AUDIT_OPTIONS(words), { NULL } };
	const char *id = NULL;
	RecordFilter filter;
	bool found = false;
	uint64_t number;
	int r;

	if (words_parse(argc, argv, options, &id) < 0 || !id || words.session)
		return EXIT_USAGE;
	if (audit_filter(&words, &filter) < 0)
		return EXIT_FAILURE;
	if (!is_word(id)) {
		(void)complain(
			"audit show", id, "the id of a session or the number of a run, as creelctl audit list shows");
		return EXIT_FAILURE;
	}
	filter.session = id;
	r = record_read(&filter, show_whole, &found);
	if (r == 0 && !found && str_to_u64(id, UINT64_MAX, &number) == 0) {
		filter.session = NULL;
		filter.run = id;
		r = record_read(&filter, show_whole, &found);
	}
	if (r < 0)
		return audit_failed(r);
	if (!found) {
		(void)fprintf(stderr,
			"creelctl: audit show: nothing of `%s` is in the record: see creelctl audit list\n", id);
		return EXIT_FAILURE;
	}
	return EXIT_SUCCESS;
}

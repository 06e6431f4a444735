/* SPDX-License-Identifier: MIT */
/*
 * Fields that begin with _ are journald's own words, and the manager's are only believed of the user's own processes: a line that another
 * user forged is none.
 */
#include "shell/jobs/journal.h"
#include "shell/base/str.h"
#include "shell/jobs/span.h"

#include <poll.h>
#include <string.h>
#include <systemd/sd-journal.h>

#define LOOK_USEC USEC_PER_SEC /* whether anybody reads what is followed */

struct Journal {
	sd_journal *log;
	char *text;
};

Journal *journal_free(Journal *journal)
{
	if (journal) {
		if (journal->log)
			sd_journal_close(journal->log);
		free(journal->text);
		free(journal);
	}
	return NULL;
}

/* FIELD=value, of the user's own processes. */
static int match(sd_journal *log, const char *field, const char *value)
{
	_cleanup_free_ char *uid = str_format("_UID=%u", (unsigned int)getuid()),
			    *text = str_format("%s=%s", field, value);
	int r;

	if (!uid || !text)
		return -ENOMEM;
	r = sd_journal_add_match(log, text, 0);
	return r < 0 ? r : sd_journal_add_match(log, uid, 0);
}

static int open_log(Journal **ret, Reason *ret_reason)
{
	_cleanup_(journal_freep) Journal *journal = calloc(1, sizeof(*journal));
	int r = journal ? sd_journal_open(&journal->log, SD_JOURNAL_LOCAL_ONLY) : -ENOMEM;

	if (r >= 0)
		r = sd_journal_set_data_threshold(journal->log, JOURNAL_LINE_MAX);
	if (r < 0) {
		(void)reason_set(ret_reason, r, "the journal cannot be read: %s", strerror(-r));
		return r;
	}
	*ret = TAKE_PTR(journal);
	return 0;
}

int journal_open(const char *unit, Journal **ret, Reason *ret_reason)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	int r = open_log(&journal, ret_reason);

	if (r < 0)
		return r;
	r = match(journal->log, "_SYSTEMD_USER_UNIT", unit);
	if (r >= 0)
		r = sd_journal_add_disjunction(journal->log);
	if (r >= 0)
		r = match(journal->log, "USER_UNIT", unit);
	if (r < 0)
		return reason_set(ret_reason, r, "the journal cannot be read: %s", strerror(-r));
	*ret = TAKE_PTR(journal);
	return 0;
}

int journal_open_file(const char *path, Journal **ret, Reason *ret_reason)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	int r = open_log(&journal, ret_reason);

	if (r < 0)
		return r;
	r = match(journal->log, "CONFIG_FILE", path);
	if (r < 0)
		return reason_set(ret_reason, r, "the journal cannot be read: %s", strerror(-r));
	*ret = TAKE_PTR(journal);
	return 0;
}

int journal_from_tail(Journal *journal, uint64_t n)
{
	int r = sd_journal_seek_tail(journal->log);

	/* one further back than the first that is wanted: journal_next() steps before it reads */
	if (r >= 0)
		r = sd_journal_previous_skip(journal->log, n + 1);
	if (r >= 0 && (uint64_t)r < n + 1)
		r = sd_journal_seek_head(journal->log);
	return r < 0 ? r : 0;
}

int journal_from_time(Journal *journal, uint64_t realtime_usec)
{
	int r = sd_journal_seek_realtime_usec(journal->log, realtime_usec);

	return r < 0 ? r : 0;
}

static int message_read(Journal *journal, JournalLine *ret)
{
	static const char field[] = "MESSAGE=";
	const size_t head = sizeof(field) - 1;
	const void *data;
	size_t n;
	int r = sd_journal_get_data(journal->log, "MESSAGE", &data, &n);

	free(journal->text);
	journal->text = NULL;
	if (r == -ENOENT) {
		*ret = (JournalLine){ .text = "" };
		return 0;
	}
	if (r < 0)
		return r;
	if (n < head)
		return -EBADMSG;
	journal->text = strndup((const char *)data + head, n - head);
	if (!journal->text)
		return -ENOMEM;
	*ret = (JournalLine){ .text = journal->text, .n = strlen(journal->text) };
	return 0;
}

int journal_next(Journal *journal, JournalLine *ret)
{
	const void *data;
	size_t n;
	int r = sd_journal_next(journal->log);

	if (r <= 0)
		return r;
	r = message_read(journal, ret);
	if (r == 0)
		r = sd_journal_get_realtime_usec(journal->log, &ret->usec);
	if (r < 0)
		return r;
	ret->by_manager = sd_journal_get_data(journal->log, "USER_UNIT", &data, &n) >= 0;
	return 1;
}

int journal_wait(Journal *journal, uint64_t timeout_usec)
{
	int r = sd_journal_wait(journal->log, timeout_usec);

	return r < 0 ? r : r != SD_JOURNAL_NOP;
}

int journal_follow(Journal *journal)
{
	struct pollfd reader = { .fd = STDOUT_FILENO };

	if (fflush(stdout) != 0)
		return -errno;
	for (;;) {
		int r = journal_wait(journal, LOOK_USEC);

		if (r != 0)
			return r;
		if (poll(&reader, 1, 0) > 0 && (reader.revents & (POLLERR | POLLHUP | POLLNVAL)))
			return -EPIPE;
	}
}

/* SPDX-License-Identifier: MIT */
#include "shell/jobs/journal-show.h"
#include "shell/base/json.h"
#include "shell/jobs/span.h"
#include "shell/tools/clean.h"

#include <string.h>

int journal_show_line(const JournalLine *line, bool json)
{
	_cleanup_free_ char *clean = NULL;
	char when[32];
	bool first = true;
	size_t n;

	if (json) {
		(void)fputc('{', stdout);
		json_text(stdout, &first, "time", when_json(line->usec, when, sizeof(when)));
		json_text(stdout, &first, "by", line->by_manager ? "systemd" : "service");
		json_key(stdout, &first, "message");
		json_quote(stdout, line->text, line->n);
		return fputs("}\n", stdout) == EOF ? -EPIPE : 0;
	}
	(void)printf("%s %s", when_text(line->usec, when, sizeof(when)), line->by_manager ? "systemd: " : "");
	if (!isatty(STDOUT_FILENO))
		return fwrite(line->text, 1, line->n, stdout) == line->n && putchar('\n') != EOF ? 0 : -EPIPE;
	if (text_clean(line->text, line->n, true, &clean, &n) < 0)
		return -ENOMEM;
	return puts(clean) == EOF ? -EPIPE : 0;
}

int journal_show(const char *unit, uint64_t lines, bool follow, bool json, Reason *ret_reason)
{
	_cleanup_(journal_freep) Journal *journal = NULL;
	JournalLine line;
	int r = journal_open(unit, &journal, ret_reason);

	if (r < 0)
		return r;
	/* systemd's own notion of a tail has no `all` */
	r = journal_from_tail(journal, lines < UINT32_MAX ? lines : UINT32_MAX);
	while (r >= 0) {
		r = journal_next(journal, &line);
		if (r > 0)
			r = journal_show_line(&line, json);
		else if (r == 0 && follow)
			r = journal_follow(journal);
		else
			break;
	}
	return r < 0 ? reason_set(ret_reason, r, "the journal: %s", strerror(-r)) : 0;
}

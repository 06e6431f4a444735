/* SPDX-License-Identifier: MIT */
/* A job's file, which the agent can write anything into, what screen(1) lists, and spans of time. */
#include "shell/jobs/job.h"
#include "shell/jobs/screens.h"
#include "shell/jobs/span.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* What was read is written so that it is read again as the same. */
static void try_record(const char *text, size_t n)
{
	_cleanup_job_record_ JobRecord record = { 0 }, again = { 0 };
	_cleanup_free_ char *written = NULL, *twice = NULL;
	size_t written_n, twice_n;
	Reason reason;

	if (job_record_parse(text, n, &record, &reason) < 0)
		return;
	written = job_record_text(&record, &written_n);
	if (!written || job_record_parse(written, written_n, &again, &reason) < 0)
		abort();
	twice = job_record_text(&again, &twice_n);
	if (!twice || written_n != twice_n || memcmp(written, twice, twice_n) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	_cleanup_free_ char *text = strndup((const char *)data, n);
	_cleanup_screens_ Screens screens = { 0 };
	uint64_t usec;

	if (!text)
		return 0;
	try_record((const char *)data, n);
	if (screens_parse(text, &screens) == 0)
		for (size_t i = 0; i < screens.n; i++)
			if (screens.items[i].pid < 0 || !*screens.items[i].name ||
				!strstr(text, screens.items[i].socket))
				abort();
	if (span_parse(text, &usec) == 0 && usec > 3660 * UINT64_C(86400) * USEC_PER_SEC)
		abort();
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * A line is built in one buffer and leaves in one write(2), so that lines of several processes on one stderr
 * do not mix. Debug lines appear only when CREEL_DEBUG is set.
 */
#include "shell/base/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

static const char *log_program = "creel";
static bool log_to_journal;
static bool log_debug_on;

void log_open(const char *program)
{
	log_program = program;
	log_to_journal = getenv("JOURNAL_STREAM") != NULL;
	log_debug_on = getenv("CREEL_DEBUG") != NULL;
}

void log_line(int level, const char *format, ...)
{
	char line[2048];
	int saved = errno;
	size_t used;
	va_list ap;
	int n;

	if (level == LOG_DEBUG && !log_debug_on)
		return;

	if (log_to_journal)
		n = snprintf(line, sizeof(line), "<%d>", level);
	else
		n = snprintf(line, sizeof(line), "%s: ", log_program);
	used = (size_t)n;

	errno = saved;
	va_start(ap, format);
	n = vsnprintf(line + used, sizeof(line) - used - 1, format, ap);
	va_end(ap);
	if (n > 0)
		used += (size_t)n < sizeof(line) - used - 1 ? (size_t)n : sizeof(line) - used - 2;

	line[used++] = '\n';
	if (write(STDERR_FILENO, line, used) < 0) {
		/* nobody is left to be told */
	}
	errno = saved;
}

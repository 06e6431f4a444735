/* SPDX-License-Identifier: MIT */
#include "shell/jobs/reason.h"
#include "shell/tools/clean.h"

#include <stdarg.h>
#include <string.h>

int reason_set(Reason *ret, int error, const char *format, ...)
{
	va_list values;

	va_start(values, format);
	(void)vsnprintf(ret->text, sizeof(ret->text), format, values);
	va_end(values);
	return error;
}

void reason_tell(const char *verb, const char *name, const char *text)
{
	_cleanup_free_ char *clean_name = NULL, *clean_text = NULL;
	size_t n;

	if (text_clean(name ? name : "", name ? strlen(name) : 0, true, &clean_name, &n) < 0 ||
		text_clean(text, strlen(text), true, &clean_text, &n) < 0)
		(void)fprintf(stderr, "creel %s: %s\n", verb, strerror(ENOMEM));
	else
		(void)fprintf(stderr, "creel %s: %.64s%s%s\n", verb, clean_name, *clean_name ? ": " : "", clean_text);
}

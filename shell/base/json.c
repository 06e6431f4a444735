/* SPDX-License-Identifier: MIT */
#include "shell/base/json.h"
#include "shell/base/utf8.h"

#include <string.h>

/* Characters that are valid and make a terminal or a reader see something else: C1 controls, directions, ends of lines. */
static unsigned int misleading(const unsigned char *p, size_t length)
{
	unsigned int c = 0;

	if (length == 2)
		c = (unsigned int)(p[0] & 0x1f) << 6 | (p[1] & 0x3f);
	else if (length == 3)
		c = (unsigned int)(p[0] & 0x0f) << 12 | (unsigned int)(p[1] & 0x3f) << 6 | (p[2] & 0x3f);
	if ((c >= 0x80 && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
		(c >= 0x2066 && c <= 0x2069))
		return c;
	return 0;
}

void json_quote(FILE *file, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s;

	(void)fputc('"', file);
	while (n) {
		size_t length = utf8_length(p, n);

		if (!length) {
			(void)fputs("\\ufffd", file);
			length = 1;
		} else if (length > 1) {
			unsigned int c = misleading(p, length);

			if (c)
				(void)fprintf(file, "\\u%04x", c);
			else
				(void)fwrite(p, 1, length, file);
		} else if (*p == '"' || *p == '\\') {
			(void)fprintf(file, "\\%c", *p);
		} else if (*p == '\n') {
			(void)fputs("\\n", file);
		} else if (*p < 0x20 || *p == 0x7f) {
			(void)fprintf(file, "\\u%04x", *p);
		} else {
			(void)fputc(*p, file);
		}
		p += length;
		n -= length;
	}
	(void)fputc('"', file);
}

void json_key(FILE *file, bool *first, const char *key)
{
	if (!*first)
		(void)fputc(',', file);
	*first = false;
	json_quote(file, key, strlen(key));
	(void)fputc(':', file);
}

void json_text(FILE *file, bool *first, const char *key, const char *value)
{
	json_key(file, first, key);
	if (value)
		json_quote(file, value, strlen(value));
	else
		(void)fputs("null", file);
}

void json_number(FILE *file, bool *first, const char *key, uint64_t value)
{
	json_key(file, first, key);
	if (value == UINT64_MAX)
		(void)fputs("null", file);
	else
		(void)fprintf(file, "%llu", (unsigned long long)value);
}

void json_bool(FILE *file, bool *first, const char *key, bool value)
{
	json_key(file, first, key);
	(void)fputs(value ? "true" : "false", file);
}

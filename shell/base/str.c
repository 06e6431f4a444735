/* SPDX-License-Identifier: MIT */
#include "shell/base/str.h"

#include <ctype.h>
#include <stdarg.h>
#include <string.h>

int str_to_u64(const char *s, uint64_t max, uint64_t *ret)
{
	uint64_t value = 0;

	if (!s || !*s)
		return -EINVAL;

	for (; *s; s++) {
		if (*s < '0' || *s > '9')
			return -EINVAL;
		if (__builtin_mul_overflow(value, 10, &value) ||
			__builtin_add_overflow(value, (uint64_t)(*s - '0'), &value) || value > max)
			return -ERANGE;
	}
	*ret = value;
	return 0;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x7f && c != '\\' && c != '"' && c != '`';
}

static size_t quoted_length(const char *s, size_t n)
{
	size_t length = 0;

	for (size_t i = 0; i < n; i++)
		length += is_plain((unsigned char)s[i]) ? 1 : 4;
	return length;
}

const char *str_quote(const char *s, size_t n, char *buffer, size_t size)
{
	size_t room, used = 0;
	bool whole;

	if (!size)
		return "";
	whole = quoted_length(s, n) < size;
	room = whole ? size - 1 : size > 4 ? size - 4 : 0;

	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		size_t need = is_plain(c) ? 1 : 4;

		if (used + need > room)
			break;
		if (need == 1) {
			buffer[used++] = (char)c;
		} else {
			(void)snprintf(buffer + used, size - used, "\\x%02x", c);
			used += 4;
		}
	}
	for (int dots = 0; !whole && dots < 3 && used + 1 < size; dots++)
		buffer[used++] = '.';
	buffer[used] = '\0';
	return buffer;
}

char *str_shell_word(const char *s)
{
	char *word = malloc(4 * strlen(s) + 4), *end = word;
	bool plain = *s, control = false;

	if (!word)
		return NULL;
	for (const char *c = s; *c; c++) {
		plain &= isalnum((unsigned char)*c) || strchr("/._-+=:,@%", *c);
		control |= iscntrl((unsigned char)*c) != 0;
	}
	if (plain)
		return strcpy(word, s);
	end = stpcpy(end, control ? "$'" : "'");
	for (; *s; s++)
		if (control && (iscntrl((unsigned char)*s) || *s == '\'' || *s == '\\'))
			end += sprintf(end, "\\x%02x", (unsigned char)*s);
		else if (*s == '\'')
			end = stpcpy(end, "'\\''");
		else
			*end++ = *s;
	(void)stpcpy(end, "'");
	return word;
}

const char *str_size(uint64_t bytes, char *buffer, size_t size)
{
	static const char units[] = { 'K', 'M', 'G', 'T', 'P' };
	double scaled = (double)bytes;
	int unit = -1;

	while (scaled >= 1024 && unit + 1 < (int)ELEMENTSOF(units)) {
		scaled /= 1024;
		unit++;
	}
	if (bytes == UINT64_MAX)
		(void)snprintf(buffer, size, "max");
	else if (unit < 0)
		(void)snprintf(buffer, size, "%llu", (unsigned long long)bytes);
	else
		(void)snprintf(buffer, size, "%.4g%c", scaled, units[unit]);
	return buffer;
}

char *str_format(const char *format, ...)
{
	char *s = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&s, format, ap);
	va_end(ap);
	return r < 0 ? NULL : s;
}

int str_set(char **slot, const char *text)
{
	char *copy = strdup(text);

	if (!copy)
		return -ENOMEM;
	free(*slot);
	*slot = copy;
	return 0;
}

bool str_equal(const char *a, const char *b)
{
	if (!a || !b)
		return a == b;
	return strcmp(a, b) == 0;
}

int strlist_push(StrList *list, char *s)
{
	char **items;

	if (!s)
		return -ENOMEM;
	items = reallocarray(list->items, list->n + 2, sizeof(char *));
	if (!items) {
		free(s);
		return -ENOMEM;
	}
	list->items = items;
	list->items[list->n++] = s;
	list->items[list->n] = NULL;
	return 0;
}

int strlist_add(StrList *list, const char *s)
{
	return strlist_push(list, strdup(s));
}

bool strlist_contains(const StrList *list, const char *s)
{
	for (size_t i = 0; i < list->n; i++)
		if (strcmp(list->items[i], s) == 0)
			return true;
	return false;
}

void strlist_done(StrList *list)
{
	for (size_t i = 0; i < list->n; i++)
		free(list->items[i]);
	free(list->items);
	*list = (StrList){ 0 };
}

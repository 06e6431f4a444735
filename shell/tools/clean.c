/* SPDX-License-Identifier: MIT */
/*
 * Nothing is left out but colours: what a reader cannot see is written in digits, so that a hostile text looks hostile and a
 * broken one can be mended. Zero widths stay where people need them - between joined pictures, and inside words of scripts
 * that shape their letters by them.
 */
#include "shell/tools/clean.h"
#include "shell/tools/unicode.h"

#include <string.h>

#define MARKS_KEPT 4U /* on one character; scripts that pile up most use three */

typedef struct Cleaner {
	FILE *file;
	bool one_line;
	uint32_t before; /* the last one that was written as itself; a line feed at the beginning */
	size_t marks;    /* on it */
} Cleaner;

/* Bytes of a sequence that only sets colours (ECMA-48 SGR) at `s`, or 0. */
static size_t colour_length(const char *s, size_t n)
{
	size_t i = 2;

	if (n < 3 || s[0] != '\033' || s[1] != '[')
		return 0;
	while (i < n && strchr("0123456789;:", s[i]) && s[i])
		i++;
	return i < n && s[i] == 'm' ? i + 1 : 0;
}

static void put_digits(Cleaner *cleaner, uint32_t character)
{
	(void)fprintf(cleaner->file,
		character < 0x100     ? "\\x%02x"
		: character < 0x10000 ? "\\u%04x"
				      : "\\U%08x",
		character);
	cleaner->before = '0';
	cleaner->marks = MARKS_KEPT; /* nothing sits on digits that stand for something else */
}

static void put(Cleaner *cleaner, uint32_t character)
{
	char bytes[UNICODE_BYTES_MAX];

	(void)fwrite(bytes, 1, unicode_write(character, bytes), cleaner->file);
	cleaner->before = character;
	cleaner->marks = 0;
}

/* A mark on the one before, which stays the one before. */
static void put_mark(Cleaner *cleaner, uint32_t character)
{
	char bytes[UNICODE_BYTES_MAX];

	(void)fwrite(bytes, 1, unicode_write(character, bytes), cleaner->file);
	cleaner->marks++;
}

static bool is_picture(uint32_t character)
{
	return (character >= 0x2190 && character < 0x2c00) || (character >= 0x1f000 && character < 0x1fb00);
}

/* Arabic, Syriac, Indic scripts, Tibetan, Myanmar, Khmer, Mongolian: letters change their shape by joiners. */
static bool is_shaped(uint32_t character)
{
	return (character >= 0x600 && character < 0x10a0) || (character >= 0x1780 && character < 0x18b0);
}

static bool is_ideograph(uint32_t character)
{
	return (character >= 0x3400 && character < 0xa000) || (character >= 0x20000 && character < 0x323b0);
}

static bool joins(const Cleaner *cleaner, uint32_t joiner, uint32_t next)
{
	if (is_shaped(cleaner->before) && is_shaped(next))
		return true;
	return joiner == 0x200d && is_picture(cleaner->before) && is_picture(next);
}

static bool varies(const Cleaner *cleaner, uint32_t selector, uint32_t next)
{
	if (selector >= 0xe0100)
		return is_ideograph(cleaner->before);
	/* a key's cap around a digit */
	if (next == 0x20e3)
		return true;
	return is_picture(cleaner->before) || is_ideograph(cleaner->before) || is_shaped(cleaner->before);
}

static bool is_noncharacter(uint32_t character)
{
	return (character & 0xfffe) == 0xfffe || (character >= 0xfdd0 && character <= 0xfdef);
}

/* It may sit on the one before. */
static bool sits(const Cleaner *cleaner, uint32_t character, uint32_t next)
{
	if (character == 0x200c || character == 0x200d)
		return joins(cleaner, character, next);
	if (!unicode_is_mark(character) || cleaner->before == '\n' || cleaner->before == '\t')
		return false;
	if (unicode_is_invisible(character))
		return !cleaner->marks && varies(cleaner, character, next);
	return cleaner->marks < MARKS_KEPT;
}

/* Does not decide on ends of lines. `next`: the character behind it, 0 at the end. */
static void clean_one(Cleaner *cleaner, uint32_t character, uint32_t next)
{
	if (sits(cleaner, character, next))
		put_mark(cleaner, character);
	else if (unicode_is_control(character) || unicode_is_misleading(character) || unicode_is_mark(character) ||
		 unicode_is_invisible(character))
		put_digits(cleaner, character);
	else
		put(cleaner, is_noncharacter(character) ? UNICODE_REPLACEMENT : character);
}

static void clean_line_end(Cleaner *cleaner, char character)
{
	if (cleaner->one_line)
		put_digits(cleaner, (unsigned char)character);
	else
		put(cleaner, '\n');
}

static void clean_all(Cleaner *cleaner, const char *s, size_t n)
{
	for (size_t i = 0; i < n;) {
		size_t colour = colour_length(s + i, n - i);
		uint32_t character, next = 0;

		if (colour) {
			i += colour;
			continue;
		}
		i += unicode_read(s + i, n - i, &character);
		if (character == '\r' && !cleaner->one_line && i < n && s[i] == '\n')
			continue;
		if (character == '\n' || character == '\r' || (character == '\t' && cleaner->one_line)) {
			clean_line_end(cleaner, (char)character);
			continue;
		}
		if (i < n)
			(void)unicode_read(s + i, n - i, &next);
		clean_one(cleaner, character, next);
	}
}

int text_clean(const char *s, size_t n, bool one_line, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	size_t text_n = 0;
	Cleaner cleaner = { .one_line = one_line, .before = '\n' };

	cleaner.file = open_memstream(&text, &text_n);
	if (!cleaner.file)
		return -ENOMEM;
	clean_all(&cleaner, s, n);
	/* it closes also where it fails */
	if (fclose(cleaner.file) != 0)
		return -ENOMEM;
	*ret = TAKE_PTR(text);
	*ret_n = text_n;
	return 0;
}

bool text_shows(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (!strchr(" \t\n", s[i]) || !s[i])
			return true;
	return false;
}

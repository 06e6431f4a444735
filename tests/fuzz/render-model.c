/* SPDX-License-Identifier: MIT */
/*
 * Discord, Slack, WhatsApp: three backticks begin a frame and the next three end it, whatever stands between; outside of
 * frames one backtick begins a word of code and the next one ends it. Telegram: HTML of two elements.
 */
#include "tests/fuzz/render-model.h"

#include <string.h>
#include <strings.h>

typedef struct Reader {
	const RenderChannel *channel;
	const char *language;
	const char *s;
	size_t n, i, units;
	char outside[4096]; /* what stands in no frame and in no code */
	size_t outside_n;
} Reader;

static bool at(const Reader *reader, const char *word)
{
	return reader->n - reader->i >= strlen(word) && memcmp(reader->s + reader->i, word, strlen(word)) == 0;
}

static bool skip(Reader *reader, const char *word)
{
	if (!at(reader, word))
		return false;
	reader->i += strlen(word);
	return true;
}

/* One character: strict UTF-8 by hand. */
static bool next(Reader *reader, uint32_t *ret)
{
	const unsigned char *p = (const unsigned char *)reader->s + reader->i;
	size_t left = reader->n - reader->i;
	size_t length = p[0] < 0x80 ? 1 : p[0] < 0xc2 ? 0 : p[0] < 0xe0 ? 2 : p[0] < 0xf0 ? 3 : p[0] < 0xf5 ? 4 : 0;
	uint32_t c;

	if (!length || length > left)
		return false;
	c = length == 1 ? p[0] : p[0] & (0xffU >> (length + 1));
	for (size_t k = 1; k < length; k++) {
		if (p[k] >> 6 != 2)
			return false;
		c = c << 6 | (p[k] & 0x3f);
	}
	if ((length == 3 && (c < 0x800 || (c >= 0xd800 && c <= 0xdfff))) ||
		(length == 4 && (c < 0x10000 || c > 0x10ffff)))
		return false;
	reader->i += length;
	reader->units += length == 4 ? 2 : 1;
	*ret = c;
	return true;
}

/* The gap that creel itself puts in is not among them. */
static bool is_hidden(uint32_t c, bool gaps)
{
	if (c == 0x200b)
		return !gaps;
	return (c < 0x20 && c != '\n' && c != '\t') || (c >= 0x7f && c < 0xa0) || c == 0xad || c == 0x61c ||
	       c == 0x180e || c == 0x200e || c == 0x200f || (c >= 0x2028 && c <= 0x202e) ||
	       (c >= 0x2060 && c <= 0x206f) || c == 0xfeff || (c >= 0xe0000 && c < 0xe0100) || (c & 0xfffe) == 0xfffe;
}

static const char *check_characters(const Reader *start)
{
	Reader reader = *start;

	while (reader.i < reader.n) {
		uint32_t c;

		if (!next(&reader, &c))
			return "no UTF-8";
		if (is_hidden(c, reader.channel->fences))
			return "a sign that does not show";
	}
	if (reader.channel->counts_markup && reader.units > reader.channel->limit)
		return "over the limit";
	return NULL;
}

static bool holds(const Reader *reader, const char *word)
{
	for (size_t i = 0; i + strlen(word) <= reader->n; i++)
		if (strncasecmp(reader->s + i, word, strlen(word)) == 0)
			return true;
	return false;
}

/* ... without the gap behind it that takes its meaning. */
static bool holds_bare(const Reader *reader, const char *word)
{
	size_t n = strlen(word);

	for (size_t i = 0; i + n + 3 <= reader->n; i++)
		if (strncasecmp(reader->s + i, word, n) == 0 && memcmp(reader->s + i + n, "\xe2\x80\x8b", 3) != 0)
			return true;
	return false;
}

static bool is_known_entity(const Reader *reader)
{
	return at(reader, "&amp;") || at(reader, "&lt;") || at(reader, "&gt;");
}

static const char *check_signs(const Reader *start)
{
	Reader reader = *start;

	if (reader.channel->parses_mentions &&
		(holds(&reader, "@everyone") || holds(&reader, "@here") || holds_bare(&reader, "<@")))
		return "a mention";
	if (reader.channel->parses_links && (holds(&reader, "://") || holds_bare(&reader, "www.")))
		return "a link";
	if (!reader.channel->entities)
		return NULL;
	for (; reader.i < reader.n; reader.i++)
		if (reader.s[reader.i] == '&' && !is_known_entity(&reader))
			return "a bare &";
	return reader.channel->fences && (holds(&reader, "<") || holds(&reader, ">")) ? "a bare < or >" : NULL;
}

static void put_outside(Reader *reader)
{
	if (reader->outside_n < sizeof(reader->outside) - 1)
		reader->outside[reader->outside_n++] = reader->s[reader->i];
	reader->i++;
}

static bool is_ours(char *outside)
{
	static const char *const ours[] = { "", "output:", "errors:", "files:", "view full output: ", "(shortened)",
		"(no output)" };

	for (char *line; (line = strsep(&outside, "\n"));) {
		bool known = false;

		for (size_t i = 0; i < ELEMENTSOF(ours); i++)
			known |= strcmp(line, ours[i]) == 0;
		if (!known)
			return false;
	}
	return true;
}

static const char *read_fences(Reader *reader)
{
	while (reader->i < reader->n) {
		bool frame = at(reader, "```"), filled = false;
		const char *sign = frame ? "```" : "`";

		if (!skip(reader, sign)) {
			put_outside(reader);
			continue;
		}
		/* Discord takes one word on the first line for a language */
		if (frame && reader->language && reader->channel->open_as)
			(void)skip(reader, reader->language);
		if (frame && !skip(reader, "\n"))
			return "a frame's first line is not empty";
		for (; reader->i < reader->n && !at(reader, sign); reader->i++)
			filled |= reader->s[reader->i] != '\n';
		if (!filled)
			return "an empty frame is none";
		if (!skip(reader, sign))
			return "a frame never ends";
	}
	return NULL;
}

static const char *read_html(Reader *reader)
{
	bool pre = false, code = false;

	while (reader->i < reader->n) {
		if (at(reader, "<") && !pre && !code && skip(reader, "<pre>")) {
			pre = true;
			if (skip(reader, "<code class=\"language-")) {
				if (!reader->language || !skip(reader, reader->language) || !skip(reader, "\">"))
					return "an attribute";
				code = true;
			}
		} else if (!pre && !code && skip(reader, "<code>")) {
			code = true;
		} else if (code && skip(reader, "</code>")) {
			code = false;
			if (pre && !at(reader, "</pre>"))
				return "text between a frame's ends";
		} else if (pre && !code && skip(reader, "</pre>")) {
			pre = false;
		} else if (at(reader, "<") || at(reader, ">")) {
			return "an element";
		} else if (pre || code) {
			uint32_t c;

			if (is_known_entity(reader)) {
				reader->i += strcspn(reader->s + reader->i, ";") + 1;
				reader->units++;
			} else if (!next(reader, &c)) {
				return "no UTF-8";
			}
		} else {
			put_outside(reader);
			reader->units++;
		}
	}
	if (pre || code)
		return "a frame never ends";
	return reader->units > reader->channel->limit ? "over the limit" : NULL;
}

const char *render_model_check(const RenderChannel *channel, const char *language, const char *message, size_t n)
{
	Reader reader = { .channel = channel, .language = language, .s = message, .n = n };
	const char *wrong = check_characters(&reader);

	if (!wrong)
		wrong = check_signs(&reader);
	if (wrong || strcmp(channel->name, "plain") == 0)
		return wrong;
	wrong = channel->fences ? read_fences(&reader) : read_html(&reader);
	if (!wrong && !is_ours(reader.outside))
		wrong = "words that are not ours outside of frames";
	return wrong;
}

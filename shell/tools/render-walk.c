/* SPDX-License-Identifier: MIT */
/*
 * Where a text must not act, a zero width space (U+200B) is put between the signs that would: it shows nothing, and the
 * signs stay readable. A longer fence does not help: Discord and Slack end a frame at the first three backticks, however
 * many began it. Cleaning took every U+200B of the text's own away before.
 *
 * Cuts are made by what a character costs at most, so that they need not know what stands before it.
 */
#include "shell/tools/render-walk.h"
#include "shell/tools/unicode.h"

#include <string.h>
#include <strings.h>

#define GAP "\xe2\x80\x8b"
#define FENCE_SIGNS 3U
/* "... N characters left out ..." between two ends of lines, with the digits of any size_t */
#define MARKER_MOST 52U

void walk_words(Walker *walker, const char *s)
{
	if (walker->file)
		(void)fputs(s, walker->file);
	walker->cost += strlen(s);
	walker->backticks = 0;
}

void walk_markup(Walker *walker, const char *s)
{
	size_t cost = walker->cost;

	walk_words(walker, s);
	if (!walker->channel->counts_markup)
		walker->cost = cost;
}

static void put(Walker *walker, const char *s, size_t n)
{
	if (walker->file)
		(void)fwrite(s, 1, n, walker->file);
	walker->cost += unicode_units(s, n);
}

static void put_gap(Walker *walker)
{
	put(walker, GAP, sizeof(GAP) - 1);
}

static const char *entity(const RenderChannel *channel, char character)
{
	if (!channel->entities)
		return NULL;
	return character == '&' ? "&amp;" : character == '<' ? "&lt;" : character == '>' ? "&gt;" : NULL;
}

static void put_entity(Walker *walker, const char *text)
{
	if (walker->file)
		(void)fputs(text, walker->file);
	walker->cost += walker->channel->counts_markup ? strlen(text) : 1;
}

static bool begins(const char *s, size_t n, const char *word)
{
	size_t word_n = strlen(word);

	return n >= word_n && strncasecmp(s, word, word_n) == 0;
}

/* `s` is behind an @. */
static bool calls_people(const char *s, size_t i, size_t n)
{
	static const char *const words[] = { "everyone", "here", "channel", "all" };

	if (i >= 2 && s[i - 2] == '<')
		return true;
	for (size_t w = 0; w < ELEMENTSOF(words); w++)
		if (begins(s + i, n - i, words[w]))
			return true;
	return false;
}

/* A gap belongs behind s[i]. */
static bool needs_gap(const RenderChannel *channel, const char *s, size_t i, size_t n)
{
	if (s[i] == '@')
		return channel->parses_mentions && calls_people(s, i + 1, n);
	if (s[i] == ':')
		return channel->parses_links && begins(s + i + 1, n - i - 1, "//");
	if (s[i] == '.')
		return channel->parses_links && i >= 3 && begins(s + i - 3, 3, "www");
	return false;
}

void walk_text(Walker *walker, const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *text = entity(walker->channel, s[i]);
		size_t plain = i;

		if (text) {
			put_entity(walker, text);
			walker->backticks = 0;
			continue;
		}
		if (s[i] == '`' && walker->channel->fences && walker->backticks == FENCE_SIGNS - 1) {
			put_gap(walker);
			walker->backticks = 0;
		}
		walker->backticks = s[i] == '`' ? walker->backticks + 1 : 0;
		/* letters go together: a text is mostly that */
		while (i + 1 < n && !strchr("`@:.&<>", s[i]) && !strchr("`@:.&<>", s[i + 1]))
			i++;
		put(walker, s + plain, i + 1 - plain);
		if (needs_gap(walker->channel, s, i, n))
			put_gap(walker);
	}
}

/* At most that, wherever it stands. */
static size_t cost_most(const RenderChannel *channel, const char *s, size_t n)
{
	const char *text = entity(channel, *s);

	if (text)
		return channel->counts_markup ? strlen(text) : 1;
	if ((*s == '`' && channel->fences) || (*s == '@' && channel->parses_mentions) ||
		((*s == ':' || *s == '.') && channel->parses_links))
		return unicode_units(s, n) + 1;
	return unicode_units(s, n);
}

/* ---- cuts ---- */

Cut cut_lines(const char *s, size_t n)
{
	size_t lines = 1, line = 0;
	Cut cut = { n, n };

	for (size_t i = 0; i < n; i++)
		lines += s[i] == '\n';
	if (lines <= RENDER_LINES_MAX)
		return cut;
	for (size_t i = 0; i < n; i++) {
		if (s[i] != '\n')
			continue;
		line++;
		if (line == RENDER_LINES_MAX / 2)
			cut.head = i;
		/* one of the lines tells how many are left out */
		if (line == lines - (RENDER_LINES_MAX / 2 - 1)) {
			cut.tail = i + 1;
			break;
		}
	}
	return cut;
}

/* The longest beginning that costs at most `budget`. */
static size_t fit_head(const RenderChannel *channel, const char *s, size_t n, size_t budget)
{
	size_t i = 0, line = 0;

	while (i < n) {
		size_t length = unicode_cluster(s + i, n - i), cost = cost_most(channel, s + i, length);

		if (cost > budget)
			break;
		if (s[i] == '\n')
			line = i;
		budget -= cost;
		i += length;
	}
	if (i == n)
		return n;
	/* up to the end of a line, unless that gives away half of it */
	return line > i / 2 ? line : i;
}

/* Where the longest end begins that costs at most `budget`. */
static size_t fit_tail(const RenderChannel *channel, const char *s, size_t n, size_t budget)
{
	size_t total = 0, start = 0;

	for (size_t i = 0, length; i < n; i += length) {
		length = unicode_cluster(s + i, n - i);
		total += cost_most(channel, s + i, length);
	}
	while (start < n && total > budget) {
		size_t length = unicode_cluster(s + start, n - start);

		total -= cost_most(channel, s + start, length);
		start += length;
	}
	if (!start || start == n || s[start - 1] == '\n')
		return start;
	for (size_t i = start; i < start + (n - start) / 2; i++)
		if (s[i] == '\n')
			return i + 1;
	return start;
}

static size_t cut_cost(const RenderChannel *channel, const char *s, size_t n, Cut cut)
{
	Walker walker = { .channel = channel };

	walk_cut(&walker, s, n, cut);
	return walker.cost;
}

Cut cut_fit(const RenderChannel *channel, const char *s, size_t n, Cut cut, size_t budget)
{
	Walker head = { .channel = channel };
	size_t room;

	if (budget == RENDER_UNLIMITED || cut_cost(channel, s, n, cut) <= budget)
		return cut;
	room = budget - MARKER_MOST;
	cut.head = fit_head(channel, s, cut.head, room - room * 2 / 5);
	walk_text(&head, s, cut.head);
	if (cut.tail == n)
		cut.tail = cut.head;
	cut.tail += fit_tail(channel, s + cut.tail, n - cut.tail, room - head.cost);
	return cut;
}

static void put_marker(Walker *walker, const char *s, size_t n)
{
	char text[64];
	size_t lines = 0, characters = 0;
	const char *what;

	for (size_t i = 0; i < n; i++) {
		lines += s[i] == '\n';
		characters += ((unsigned char)s[i] & 0xc0) != 0x80;
	}
	if (lines > 1 && s[0] == '\n' && s[n - 1] == '\n') {
		what = --lines == 1 ? "line" : "lines";
		characters = lines;
	} else {
		what = characters == 1 ? "character" : "characters";
	}
	(void)snprintf(text, sizeof(text), "... %zu %s left out ...", characters, what);
	walk_words(walker, text);
}

void walk_cut(Walker *walker, const char *s, size_t n, Cut cut)
{
	walk_text(walker, s, cut.head);
	if (cut.head >= cut.tail)
		return;
	if (cut.head)
		walk_words(walker, "\n");
	put_marker(walker, s + cut.head, cut.tail - cut.head);
	if (cut.tail < n) {
		walk_words(walker, "\n");
		walk_text(walker, s + cut.tail, n - cut.tail);
	}
}

/* SPDX-License-Identifier: MIT */
/* Messages: cleaning, characters as readers see them, cuts; and what no output can make of a message, by a model of each channel. */
#include "tests/unit/unit.h"

#include "shell/base/cleanup.h"
#include "shell/tools/clean.h"
#include "shell/tools/render-walk.h"
#include "shell/tools/unicode.h"
#include "tests/fuzz/render-model.h"

#include <string.h>

/* ---- cleaning ---- */

static const struct {
	const char *text, *clean;
} rows[] = {
	{ "plain\ttext\n", "plain\ttext\n" },
	{ "caf\xc3\xa9", "caf\xc3\xa9" },
	{ "a\r\nb\rc", "a\nb\nc" },
	/* colours go, other sequences show */
	{ "\033[1;31mred\033[0m", "red" },
	{ "\033[31", "\\x1b[31" },
	{ "\033[2J\033]0;title\a", "\\x1b[2J\\x1b]0;title\\x07" },
	{ "@every\033[0mone", "@everyone" },
	{ "\b\x7f\xc2\x9b", "\\x08\\x7f\\x9b" },
	/* no UTF-8: bytes, overlong forms, surrogates, beyond the last */
	{ "\xff", "\xef\xbf\xbd" },
	{ "\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xf4\x90\x80\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd" },
	{ "\xef\xbf\xbe", "\xef\xbf\xbd" },
	/* directions, ends of lines of other programs, zero widths, tags */
	{ "\xe2\x80\xae"
	  "abc\xe2\x81\xa6",
		"\\u202eabc\\u2066" },
	{ "\xe2\x80\xa8", "\\u2028" },
	{ "a\xe2\x80\x8b"
	  "b\xef\xbb\xbf\xc2\xad",
		"a\\u200bb\\ufeff\\xad" },
	{ "\xf3\xa0\x81\x81", "\\U000e0041" },
	{ "pass\xe2\x80\x8dword", "pass\\u200dword" },
	/* where scripts and pictures need them */
	{ "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae", "\xd9\x85\xdb\x8c\xe2\x80\x8c\xd8\xae" },
	{ "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9", "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9" },
	{ "1\xef\xb8\x8f\xe2\x83\xa3", "1\xef\xb8\x8f\xe2\x83\xa3" },
	{ "a\xef\xb8\x8f", "a\\ufe0f" },
	/* marks: four on a character, none on nothing */
	{ "e\xcc\x81", "e\xcc\x81" },
	{ "\xcc\x81", "\\u0301" },
	{ "\n\xcc\x81", "\n\\u0301" },
	{ "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\xcc\x81", "e\xcc\x81\xcc\x81\xcc\x81\xcc\x81\\u0301" },
	{ "\b\xcc\x81", "\\x08\\u0301" },
};

static void test_clean(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(rows); i++) {
		_cleanup_free_ char *clean = NULL;
		size_t n;

		assert_int_equal(text_clean(rows[i].text, strlen(rows[i].text), false, &clean, &n), 0);
		assert_string_equal(clean, rows[i].clean);
		assert_int_equal(n, strlen(rows[i].clean));
	}
}

static void test_clean_one_line(void **state)
{
	_cleanup_free_ char *clean = NULL;
	size_t n;

	assert_int_equal(text_clean("a\n\r\tb\0c", 7, true, &clean, &n), 0);
	assert_string_equal(clean, "a\\x0a\\x0d\\x09b\\x00c");
	assert_false(text_shows(" \n\t", 3));
	assert_true(text_shows(" \nx", 3));
}

/* ---- characters ---- */

static const struct {
	const char *text;
	size_t length; /* of the first cluster */
} clusters[] = {
	{ "ab", 1 },
	{ "e\xcc\x81\xcc\x82x", 5 },
	{ "\xf0\x9f\x87\xa9\xf0\x9f\x87\xaa\xf0\x9f\x87\xab", 8 },
	{ "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9\xe2\x80\x8d\xf0\x9f\x91\xa7!", 18 },
	{ "\xf0\x9f\x91\x8d\xf0\x9f\x8f\xbdx", 8 },
	{ "\n\xcc\x81", 1 },
	{ "\xff\xff", 1 },
};

static void test_clusters(void **state)
{
	for (size_t i = 0; i < ELEMENTSOF(clusters); i++)
		assert_int_equal(unicode_cluster(clusters[i].text, strlen(clusters[i].text)), clusters[i].length);
	assert_int_equal(unicode_units("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x91\xa8", 10), 5);
}

/* ---- cuts ---- */

static char *lines(size_t n)
{
	char *text = NULL;
	size_t text_n;
	FILE *file = open_memstream(&text, &text_n);

	for (size_t i = 1; i <= n; i++)
		(void)fprintf(file, i == 1 ? "%zu" : "\n%zu", i);
	assert_int_equal(fclose(file), 0);
	return text;
}

static void test_cut_lines(void **state)
{
	_cleanup_free_ char *some = lines(RENDER_LINES_MAX), *many = lines(1000), *message = NULL;
	Cut cut = cut_lines(some, strlen(some));
	Walker walker = { .channel = render_channel("plain") };
	size_t n, shown = 1;

	assert_int_equal(cut.head, cut.tail);
	cut = cut_lines(many, strlen(many));
	walker.file = open_memstream(&message, &n);
	walk_cut(&walker, many, strlen(many), cut);
	assert_int_equal(fclose(walker.file), 0);
	assert_non_null(strstr(message, "\n250\n... 501 lines left out ...\n752\n"));
	for (size_t i = 0; i < n; i++)
		shown += message[i] == '\n';
	assert_int_equal(shown, RENDER_LINES_MAX);
}

/* What is left of a text is whole characters, as a reader sees them, and the budget is kept and used. */
static void test_cut_fit(void **state)
{
	static const char picture[] = "\xf0\x9f\x91\xa8\xe2\x80\x8d\xf0\x9f\x91\xa9"; /* 5 units */
	const RenderChannel *channel = render_channel("telegram");
	char text[11 * 400 + 1] = "";
	size_t n = sizeof(text) - 1;

	for (size_t i = 0; i < 400; i++)
		memcpy(text + 11 * i, picture, 11);
	for (size_t budget = CUT_LEAST; budget < 1500; budget += 7) {
		Cut cut = cut_fit(channel, text, n, (Cut){ n, n }, budget);
		Walker walker = { .channel = channel };

		walk_cut(&walker, text, n, cut);
		assert_true(walker.cost <= budget && walker.cost + 40 > budget);
		assert_int_equal(cut.head % 11, 0);
		assert_int_equal(cut.tail % 11, 0);
	}
}

/* ---- messages ---- */

static char *message_of(const RenderChannel *channel, const RenderRequest *request, bool *ret_shortened)
{
	char *message = NULL;
	const char *wrong;
	size_t n;
	FILE *file = open_memstream(&message, &n);

	assert_int_equal(render(channel, request, file, ret_shortened), 0);
	assert_int_equal(fclose(file), 0);
	wrong = render_model_check(channel, request->language, message, n);
	if (wrong)
		fail_msg("%s: %s\n%s", channel->name, wrong, message);
	return message;
}

static void test_limit_is_used_to_the_last(void **state)
{
	for (size_t i = 0; render_channel_at(i) && render_channel_at(i)->limit != RENDER_UNLIMITED; i++) {
		const RenderChannel *channel = render_channel_at(i);
		size_t most = channel->limit - (channel->counts_markup ? strlen("```\n\n```") : 0);
		_cleanup_free_ char *text = malloc(most + 1), *whole = NULL, *cut = NULL;
		RenderRequest request = { .stdout_text = { text, most }, .full_file = "/full.txt" };
		bool shortened;

		memset(text, 'a', most + 1);
		whole = message_of(channel, &request, &shortened);
		assert_false(shortened);
		assert_null(strstr(whole, "left out"));
		request.stdout_text.n++;
		cut = message_of(channel, &request, &shortened);
		assert_true(shortened);
		assert_non_null(strstr(cut, "characters left out"));
		assert_non_null(strstr(cut, "view full output: "));
		assert_non_null(strstr(cut, "/full.txt"));
	}
}

static void test_short_parts_stay_whole(void **state)
{
	static char text[20000];
	RenderRequest request = { .stdout_text = { text, sizeof(text) },
		.stderr_text = { "all of this is seen", 19 },
		.error = "Error: exit status 3",
		.stdout_file = "/home/agent/.creel/output/run-7.stdout" };
	bool shortened;

	memset(text, 'x', sizeof(text));
	_cleanup_free_ char *message = message_of(render_channel("discord"), &request, &shortened);

	assert_true(shortened);
	assert_non_null(strstr(message, "all of this is seen"));
	assert_non_null(strstr(message, "`Error: exit status 3`"));
	assert_non_null(strstr(message, "view full output: `/home/agent/.creel/output/run-7.stdout`"));
}

/* xorshift: the same on every machine */
static uint64_t seed = 88172645463325252U;

static uint64_t random_below(uint64_t n)
{
	seed ^= seed << 13;
	seed ^= seed >> 7;
	seed ^= seed << 17;
	return seed % n;
}

static const char *const tricks[] = { "`", "``", "```", "```\n", "\n```\n", "@everyone", "@here", "<@1>", "<!channel>",
	"<", ">", "&", "&lt;", "</pre>", "</code></pre>", "<b>", "https://x.example/", "www.x.example", "\n", "\n\n",
	"\r", "\t", " ", "\033[31m", "\033[0m", "\033]8;;https://x\a", "\0", "\xe2\x80\x8b", "\xe2\x80\xae",
	"\xe2\x80\x8d", "\xcc\x81", "\xef\xb8\x8f", "\xf0\x9f\x91\xa8", "\xf0\x9f\x87\xa9", "\xff", "\xed\xa0\x80",
	"\xe2\x82", "*", "_", "~", "\\", "word", "python\n", "1\n" };

static size_t fill(char *buffer, size_t size)
{
	size_t n = 0, most = random_below(3) ? random_below(300) : random_below(size - 32);
	size_t kinds = 1 + random_below(ELEMENTSOF(tricks)), first = random_below(ELEMENTSOF(tricks));

	while (n < most) {
		const char *trick = tricks[(first + random_below(kinds)) % ELEMENTSOF(tricks)];
		size_t length = *trick ? strlen(trick) : 1;

		memcpy(buffer + n, trick, length);
		n += length;
	}
	buffer[n] = '\0';
	return n;
}

static void test_no_output_acts(void **state)
{
	static char code[9000], out[9000], err[9000], words[3][9000];
	bool shortened;

	for (size_t i = 0; i < 3000; i++) {
		const RenderChannel *channel = render_channel_at(i % 5);
		RenderFile files[] = { { words[1], "ok", i }, { words[2], words[0], i } };
		RenderRequest request = { .language = random_below(2) ? "python" : NULL,
			.stdout_text = { out, fill(out, sizeof(out)) },
			.stderr_text = { err, random_below(2) ? fill(err, sizeof(err)) : 0 },
			.code = { code, random_below(2) ? fill(code, sizeof(code)) : 0 },
			.files = files,
			.n_files = random_below(3),
			.left_out = random_below(2) };

		for (size_t w = 0; w < 3; w++)
			(void)fill(words[w], sizeof(words[w]));
		request.error = random_below(2) ? words[0] : NULL;
		request.stdout_file = random_below(2) ? words[1] : NULL;
		request.stderr_file = random_below(2) ? words[2] : NULL;
		request.full_file = random_below(2) ? "full.txt" : NULL;
		free(message_of(channel, &request, &shortened));
	}
}

/* The model itself finds what it is for. */
static void test_model_refuses(void **state)
{
	static const struct {
		const char *channel, *message;
	} bad[] = {
		{ "discord", "```\na```b\n```" },
		{ "discord", "hello" },
		{ "discord", "```\nnever" },
		{ "discord", "```\n@everyone\n```" },
		{ "discord", "```\n<@1>\n```" },
		{ "discord", "```\n\n```" },
		{ "discord", "```\n\033[31m\n```" },
		{ "slack", "```\n<x>\n```" },
		{ "slack", "```\n&\n```" },
		{ "whatsapp", "```\nhttps://x\n```" },
		{ "telegram", "<pre>a</pre></pre>" },
		{ "telegram", "<pre><b>x</b></pre>" },
		{ "telegram", "<pre>&</pre>" },
		{ "telegram", "<pre>x" },
		{ "plain", "\xff" },
	};

	for (size_t i = 0; i < ELEMENTSOF(bad); i++)
		if (!render_model_check(render_channel(bad[i].channel), NULL, bad[i].message, strlen(bad[i].message)))
			fail_msg("%s: %s", bad[i].channel, bad[i].message);
}

static void test_languages(void **state)
{
	assert_true(render_language_valid("c++"));
	assert_true(render_language_valid("objective-c"));
	assert_false(render_language_valid(""));
	assert_false(render_language_valid("a b"));
	assert_false(render_language_valid("a\n"));
	assert_false(render_language_valid("\"><b>"));
	assert_false(render_language_valid("abcdefghijklmnopqrstuvwxyzabcdefg"));
	assert_null(render_channel("irc"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_clean_one_line),
		cmocka_unit_test(test_clusters),
		cmocka_unit_test(test_cut_lines),
		cmocka_unit_test(test_cut_fit),
		cmocka_unit_test(test_limit_is_used_to_the_last),
		cmocka_unit_test(test_short_parts_stay_whole),
		cmocka_unit_test(test_no_output_acts),
		cmocka_unit_test(test_model_refuses),
		cmocka_unit_test(test_languages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

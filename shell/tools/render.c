/* SPDX-License-Identifier: MIT */
/*
 * A message is parts, each a frame with a line above it that says what it is, and lines of our own. Everything that is not
 * ours stands in a frame or in a few words of code. What is too long is shortened fairly: parts that need less than an even
 * share have all they need, the others share the rest.
 */
#include "shell/tools/render.h"
#include "shell/base/str.h"
#include "shell/tools/clean.h"
#include "shell/tools/render-walk.h"
#include "shell/tools/unicode.h"

#include <string.h>

#define PARTS_MAX 4U
#define WORDS_MOST 200U /* what an error or a file's name within a line may cost */

#define BACKTICKS                                                                                               \
	.open = "```\n", .close = "\n```", .code = "`", .code_end = "`", .counts_markup = true, .fences = true, \
	.parses_mentions = true

static const RenderChannel channels[] = {
	{ .name = "discord", .limit = 2000, BACKTICKS, .open_as = "```", .open_as_end = "\n", .close_as = "\n```" },
	/* 4096 "after entities parsing"; markup is HTML, which nests nothing in a pre */
	{ .name = "telegram",
		.limit = 4096,
		.entities = true,
		.open = "<pre>",
		.close = "</pre>",
		.open_as = "<pre><code class=\"language-",
		.open_as_end = "\">",
		.close_as = "</code></pre>",
		.code = "<code>",
		.code_end = "</code>" },
	{ .name = "slack", .limit = 4000, BACKTICKS, .entities = true, .parses_links = true },
	{ .name = "whatsapp", .limit = 65536, BACKTICKS, .parses_links = true },
	{ .name = "plain",
		.limit = RENDER_UNLIMITED,
		.counts_markup = true,
		.open = "",
		.close = "",
		.code = "",
		.code_end = "" },
};

const RenderChannel *render_channel(const char *name)
{
	for (size_t i = 0; i < ELEMENTSOF(channels); i++)
		if (strcmp(channels[i].name, name) == 0)
			return &channels[i];
	return NULL;
}

const RenderChannel *render_channel_at(size_t index)
{
	return index < ELEMENTSOF(channels) ? &channels[index] : NULL;
}

bool render_language_valid(const char *language)
{
	size_t n = strlen(language);

	return n && n <= RENDER_LANGUAGE_MAX &&
	       strspn(language, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_+.#-") == n;
}

/* ---- parts ---- */

typedef struct Part {
	const char *heading, *language; /* NULL: none */
	char *text;                     /* cleaned */
	size_t n, budget;
	Cut cut;
} Part;

typedef struct Message {
	const RenderChannel *channel;
	Part parts[PARTS_MAX];
	size_t n_parts;
	char *error, *files[2]; /* cleaned, one line each; NULL: none */
} Message;

static void message_done(Message *message)
{
	for (size_t i = 0; i < message->n_parts; i++)
		free(message->parts[i].text);
	free(message->error);
	free(message->files[0]);
	free(message->files[1]);
}

/* Takes `text`. What shows nothing is no part. */
static void add_part(Message *message, const char *heading, const char *language, char *text, size_t n)
{
	Part *part = &message->parts[message->n_parts];

	while (n && text[n - 1] == '\n')
		n--;
	if (!text_shows(text, n)) {
		free(text);
		return;
	}
	*part = (Part){ .heading = heading, .language = language, .text = text, .n = n };
	part->cut = cut_lines(text, n);
	message->n_parts++;
}

static int add_text(Message *message, const char *heading, const char *language, const RenderText *text)
{
	char *clean;
	size_t n;
	int r;

	r = text_clean(text->s, text->n, false, &clean, &n);
	if (!r)
		add_part(message, heading, language, clean, n);
	return r;
}

static const char *file_remark(const char *status)
{
	static const char *const remarks[][2] = {
		{ "too-large", "too large, left where it is" },
		{ "type", "not of the kinds that are given out, left where it is" },
		{ "special", "no regular file, left alone" },
		{ "changed", "written to while it was read" },
	};

	for (size_t i = 0; i < ELEMENTSOF(remarks); i++)
		if (strcmp(remarks[i][0], status) == 0)
			return remarks[i][1];
	return NULL;
}

static int write_file_row(FILE *file, const RenderFile *row)
{
	const char *remark = file_remark(row->status);
	_cleanup_free_ char *name = NULL;
	char size[32];
	size_t n;
	int r;

	r = text_clean(row->name, strlen(row->name), true, &name, &n);
	if (r < 0)
		return r;
	(void)fprintf(file, "%s (%s)%s%s\n", name, str_size(row->bytes, size, sizeof(size)), remark ? ": " : "",
		remark ? remark : "");
	return 0;
}

static int add_files(Message *message, const RenderRequest *request)
{
	_cleanup_free_ char *text = NULL;
	size_t n = 0;
	FILE *file;
	int r = 0;

	if (!request->n_files)
		return 0;
	file = open_memstream(&text, &n);
	if (!file)
		return -ENOMEM;
	for (size_t i = 0; i < request->n_files && !r; i++)
		r = write_file_row(file, &request->files[i]);
	if (fclose(file) != 0)
		r = -ENOMEM;
	if (!r)
		add_part(message, "files:", NULL, TAKE_PTR(text), n);
	return r;
}

/* A few words as code. A single backtick would end them where backticks are signs. */
static void walk_code(Walker *walker, const char *s, size_t n)
{
	for (size_t i = 0, run; i < n; i += run) {
		const char *sign = walker->channel->fences ? memchr(s + i, '`', n - i) : NULL;

		run = sign ? (size_t)(sign - s) - i : n - i;
		walk_text(walker, s + i, run);
		if (sign) {
			walk_words(walker, "\\x60");
			run++;
		}
	}
}

/* One line of at most WORDS_MOST. */
static int make_words(const RenderChannel *channel, const char *text, char **ret)
{
	Walker walker = { .channel = channel };
	_cleanup_free_ char *clean = NULL;
	size_t n, end = 0;
	int r;

	if (!text || !*text)
		return 0;
	r = text_clean(text, strlen(text), true, &clean, &n);
	if (r < 0)
		return r;
	if (!text_shows(clean, n))
		return 0;
	while (end < n) {
		size_t length = unicode_cluster(clean + end, n - end);

		walk_code(&walker, clean + end, length);
		if (walker.cost > WORDS_MOST)
			break;
		end += length;
	}
	*ret = str_format("%.*s%s", (int)end, clean, end < n ? "..." : "");
	return *ret ? 0 : -ENOMEM;
}

static int message_make(Message *message, const RenderRequest *request)
{
	int r;

	r = add_text(message, NULL, request->language, &request->code);
	if (!r)
		r = add_text(message, message->n_parts ? "output:" : NULL, NULL, &request->stdout_text);
	if (!r)
		r = add_text(message, "errors:", NULL, &request->stderr_text);
	if (!r)
		r = add_files(message, request);
	if (!r)
		r = make_words(message->channel, request->error, &message->error);
	if (!r)
		r = make_words(message->channel, request->stdout_file, &message->files[0]);
	if (!r)
		r = make_words(message->channel, request->stderr_file, &message->files[1]);
	if (!r && !message->files[0] && !message->files[1])
		r = make_words(message->channel, request->full_file, &message->files[0]);
	return r;
}

/* ---- writing ---- */

static void walk_separator(Walker *walker)
{
	if (walker->cost)
		walk_words(walker, "\n");
}

static void walk_words_as_code(Walker *walker, const char *words)
{
	walk_markup(walker, walker->channel->code);
	walk_code(walker, words, strlen(words));
	walk_markup(walker, walker->channel->code_end);
}

static void walk_part(Walker *walker, const Part *part)
{
	const RenderChannel *channel = walker->channel;
	bool as = part->language && channel->open_as;

	walk_separator(walker);
	if (part->heading) {
		walk_words(walker, part->heading);
		walk_words(walker, "\n");
	}
	walk_markup(walker, as ? channel->open_as : channel->open);
	if (as) {
		walk_markup(walker, part->language);
		walk_markup(walker, channel->open_as_end);
	}
	walk_cut(walker, part->text, part->n, part->cut);
	walk_markup(walker, as ? channel->close_as : channel->close);
}

static void walk_end(Walker *walker, const Message *message, bool shortened)
{
	if (message->error) {
		walk_separator(walker);
		walk_words_as_code(walker, message->error);
	}
	if (!message->n_parts && !message->error)
		walk_words(walker, "(no output)");
	if (!shortened)
		return;
	for (size_t i = 0; i < ELEMENTSOF(message->files); i++)
		if (message->files[i]) {
			walk_separator(walker);
			walk_words(walker, "view full output: ");
			walk_words_as_code(walker, message->files[i]);
		}
	if (!message->files[0] && !message->files[1]) {
		walk_separator(walker);
		walk_words(walker, "(shortened)");
	}
}

static void walk_message(Walker *walker, const Message *message, bool shortened)
{
	for (size_t i = 0; i < message->n_parts; i++)
		walk_part(walker, &message->parts[i]);
	walk_end(walker, message, shortened);
}

static size_t message_cost(const Message *message, bool shortened)
{
	Walker walker = { .channel = message->channel };

	walk_message(&walker, message, shortened);
	return walker.cost;
}

static size_t part_cost(const Message *message, const Part *part)
{
	Walker walker = { .channel = message->channel };

	walk_cut(&walker, part->text, part->n, part->cut);
	return walker.cost;
}

/* ---- fitting ---- */

/* Gives each part its budget out of `room`: to the one that needs least first. */
static void share(Message *message, size_t room)
{
	bool served[PARTS_MAX] = { false };

	for (size_t left = message->n_parts; left; left--) {
		size_t least = SIZE_MAX, chosen = 0, even = room / left;

		for (size_t i = 0; i < message->n_parts; i++) {
			size_t need = part_cost(message, &message->parts[i]);

			if (!served[i] && need <= least) {
				least = need;
				chosen = i;
			}
		}
		served[chosen] = true;
		message->parts[chosen].budget = least < even ? least : even;
		room -= message->parts[chosen].budget;
	}
}

static bool is_cut(const Message *message)
{
	for (size_t i = 0; i < message->n_parts; i++)
		if (message->parts[i].cut.head < message->parts[i].cut.tail)
			return true;
	return false;
}

/*
 * Room is what the frames and our own lines leave: with all of them at their longest, half of the smallest channel's. So
 * each part has at least CUT_LEAST.
 */
static void fit(Message *message)
{
	size_t fixed = message_cost(message, true);

	for (size_t i = 0; i < message->n_parts; i++)
		fixed -= part_cost(message, &message->parts[i]);
	share(message, message->channel->limit - fixed);
	for (size_t i = 0; i < message->n_parts; i++) {
		Part *part = &message->parts[i];

		part->cut = cut_fit(message->channel, part->text, part->n, part->cut, part->budget);
	}
}

int render(const RenderChannel *channel, const RenderRequest *request, FILE *file, bool *ret_shortened)
{
	_cleanup_(message_done) Message message = { .channel = channel };
	Walker walker = { .channel = channel, .file = file };
	bool shortened;
	int r;

	r = message_make(&message, request);
	if (r < 0)
		return r;
	shortened = is_cut(&message);
	if (message_cost(&message, shortened || request->left_out) > channel->limit) {
		fit(&message);
		shortened = true;
	}
	walk_message(&walker, &message, shortened || request->left_out);
	*ret_shortened = shortened;
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * One pass from left to right. A name is read where a word begins, a token at each character behind one that is no letter or digit;
 * what is found is skipped as a whole, and what looked like it and was none was short, or ends at the next of its kind: so no byte
 * is looked at often.
 */
#include "shell/audit/redact.h"
#include "shell/base/str.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

#define NAME_MAX_BYTES 64U /* longer words are no names */
#define TOKEN_MIN 16U      /* characters behind a token's beginning */
#define KEY_MAX 16384U     /* of a private key, as text */
#define BEHIND 1024U       /* bytes behind what is shown in which a secret may end */

typedef struct Text {
	const char *s;
	size_t n;
} Text;

/* What is left out. */
typedef struct Span {
	size_t from, to;
} Span;

static int at(const Text *text, size_t i)
{
	return i < text->n ? (unsigned char)text->s[i] : -1;
}

static bool is_name_byte(int c)
{
	return c >= 0 && (isalnum(c) || c == '_' || c == '-' || c == '.');
}

static bool is_blank(int c)
{
	return c == ' ' || c == '\t';
}

static size_t skip_blanks(const Text *text, size_t i)
{
	while (is_blank(at(text, i)))
		i++;
	return i;
}

static bool begins(const Text *text, size_t i, const char *word)
{
	size_t n = strlen(word);

	return i <= text->n && text->n - i >= n && memcmp(text->s + i, word, n) == 0;
}

static bool ends_with(const char *word, const char *end)
{
	size_t n = strlen(word), k = strlen(end);

	return n >= k && strcmp(word + n - k, end) == 0;
}

/* ---- names ---- */

static bool is_secret_name(const char *name, size_t n)
{
	static const char *const ends[] = { "password", "passwd", "passphrase", "secret", "token", "credential",
		"credentials", "apikey", "accesskey", "secretkey", "privatekey", "authkey", "signingkey",
		"encryptionkey", "sharedkey", "sshpass", "bearer" };
	char plain[NAME_MAX_BYTES + 1], lower[NAME_MAX_BYTES + 1];
	size_t k = 0;

	if (n > NAME_MAX_BYTES)
		return false;
	/* the second is as secret as the first: PASSWORD2, API_KEY_1 */
	while (n && isdigit((unsigned char)name[n - 1]))
		n--;
	if (n && name[n - 1] == '_')
		n--;
	for (size_t i = 0; i < n; i++) {
		lower[i] = (char)tolower((unsigned char)name[i]);
		if (isalnum((unsigned char)name[i]))
			plain[k++] = lower[i];
	}
	plain[k] = lower[n] = '\0';
	for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++)
		if (ends_with(plain, ends[i]))
			return true;
	/* the folders that a shell keeps are no secrets */
	if (ends_with(plain, "pwd") && strcmp(plain, "pwd") != 0 && strcmp(plain, "oldpwd") != 0)
		return true;
	return ends_with(lower, "_pass") ||
	       (n >= 3 && memcmp(name + n - 3, "KEY", 3) == 0 && (n == 3 || name[n - 4] == '_'));
}

static bool is_name(const Text *text, Span name, const char *word)
{
	return name.to - name.from == strlen(word) && strncasecmp(text->s + name.from, word, strlen(word)) == 0;
}

/* ---- values ---- */

/* A quotation mark, maybe behind a backslash, as in JSON between a shell's quotes. 0: none; else its length. */
static size_t quote_length(const Text *text, size_t i, char *ret_mark)
{
	size_t n = at(text, i) == '\\' ? 1 : 0;
	int c = at(text, i + n);

	if (c != '"' && c != '\'')
		return 0;
	*ret_mark = (char)c;
	return n + 1;
}

/* From behind the opening mark to before the closing one, or to the end of the line. */
static Span quoted(const Text *text, size_t i, size_t mark_n, char mark)
{
	Span span = { i, i };

	while (span.to < text->n && text->s[span.to] != '\n') {
		char c;

		if (mark_n == 2 ? quote_length(text, span.to, &c) == 2 && c == mark : text->s[span.to] == mark)
			break;
		span.to += text->s[span.to] == '\\' && mark_n == 1 && mark == '"' && span.to + 1 < text->n ? 2 : 1;
	}
	if (span.to > text->n)
		span.to = text->n;
	return span;
}

static Span word(const Text *text, size_t i)
{
	Span span = { i, i };

	while (span.to < text->n && !strchr(" \t\r\n;&|<>()\"'`,}]\\", text->s[span.to]))
		span.to++;
	return span;
}

/* $NAME, ${NAME}, $(COMMAND), $1. */
static bool is_variable(const Text *text, size_t i)
{
	int c = at(text, i + 1);

	return at(text, i) == '$' && c >= 0 && (isalnum(c) || c == '_' || c == '{' || c == '(');
}

/* `loose`: blanks stood around the sign, as programs are written: only what is quoted is meant literally. */
static Span value(const Text *text, size_t i, bool loose, size_t least)
{
	const Span none = { i, i };
	char mark = '\0';
	size_t n;
	Span span;

	/* $'...' is a quotation of a shell */
	if (at(text, i) == '$' && at(text, i + 1) == '\'')
		i++;
	n = quote_length(text, i, &mark);
	/* before anything is looked through; nothing is a variable between single quotes */
	if ((!n && loose) || (mark != '\'' && is_variable(text, i + n)))
		return none;
	/* NUL is in no word: strchr() finds it at the end of its list */
	span = n ? quoted(text, i + n, n, mark) : word(text, i);
	return !n && span.to - span.from < least ? none : span;
}

static bool is_type(const Text *text, Span span)
{
	static const char *const types[] = { "string", "number", "boolean", "Optional[str", "undefined" };

	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (is_name(text, span, types[i]))
			return true;
	return false;
}

/* The rest of the line, without the quotation mark that ends it; behind a scheme: what follows that. */
static Span header(const Text *text, size_t i, bool scheme)
{
	Span span = { skip_blanks(text, i), 0 };
	size_t end;

	span.to = span.from;
	while (span.to < text->n && !strchr("\r\n\"'`", text->s[span.to]))
		span.to++;
	if (!scheme)
		return span;
	end = span.from;
	while (end < span.to && !is_blank(at(text, end)))
		end++;
	if (skip_blanks(text, end) < span.to)
		span.from = skip_blanks(text, end);
	return span;
}

/* USER:PASSWORD; two numbers are a user's and a group's. */
static Span credentials(const Text *text, size_t i)
{
	char mark = '\0';
	size_t n = quote_length(text, i, &mark);
	Span span = n ? quoted(text, i + n, n, mark) : word(text, i);
	const char *colon = memchr(text->s + span.from, ':', span.to - span.from);
	bool digits = true;

	if (!colon)
		return (Span){ i, i };
	span.from = (size_t)(colon - text->s) + 1;
	for (size_t k = span.from; k < span.to; k++)
		digits = digits && isdigit((unsigned char)text->s[k]);
	return digits || (mark != '\'' && is_variable(text, span.from)) ? (Span){ i, i } : span;
}

/* -u, alone or behind others: -su, -fsSLu. */
static bool is_user_option(const Text *text, Span name)
{
	size_t n = name.to - name.from;

	if (n < 2 || n > 8 || text->s[name.from] != '-' || text->s[name.to - 1] != 'u')
		return false;
	for (size_t i = name.from + 1; i < name.to; i++)
		if (!isalpha((unsigned char)text->s[i]))
			return false;
	return true;
}

/* What belongs to the name that ends at `name.to`. Empty: nothing. */
static Span value_of_name(const Text *text, Span name)
{
	const Span none = { name.to, name.to };
	bool option = name.to - name.from > 2 && text->s[name.from] == '-' && text->s[name.from + 1] == '-';
	size_t i = name.to, behind, n;
	char mark;
	Span span;

	if ((is_user_option(text, name) || is_name(text, name, "--user")) && is_blank(at(text, i)))
		return credentials(text, skip_blanks(text, i));
	if (is_name(text, name, "Bearer") && is_blank(at(text, i))) {
		span = word(text, skip_blanks(text, i));
		return span.to - span.from >= TOKEN_MIN ? span : none;
	}
	if (at(text, i) == ':' && (is_name(text, name, "Authorization") || is_name(text, name, "Proxy-Authorization")))
		return header(text, i + 1, true);
	if (at(text, i) == ':' && (is_name(text, name, "Cookie") || is_name(text, name, "Set-Cookie")))
		return header(text, i + 1, false);
	if (!is_secret_name(text->s + name.from, name.to - name.from))
		return none;

	n = quote_length(text, i, &mark);
	i += n;
	behind = skip_blanks(text, i);
	if (at(text, behind) == '=') {
		if (at(text, behind + 1) == '=')
			return none;
		i = skip_blanks(text, behind + 1);
		return value(text, i, behind > name.to + n || i > behind + 1, 1);
	}
	if (at(text, behind) == ':' && at(text, behind + 1) != ':') {
		if (at(text, behind + 1) == '=')
			behind++;
		span = value(text, skip_blanks(text, behind + 1), false, 6);
		return is_type(text, span) ? none : span;
	}
	if (option && !n && behind > i && at(text, behind) != '-')
		return value(text, behind, false, 1);
	return none;
}

/* ---- what needs no name ---- */

typedef struct TokenKind {
	const char *start;
	size_t least; /* characters behind it */
} TokenKind;

static const TokenKind tokens[] = {
	{ "ghp_", TOKEN_MIN },
	{ "gho_", TOKEN_MIN },
	{ "ghu_", TOKEN_MIN },
	{ "ghs_", TOKEN_MIN },
	{ "ghr_", TOKEN_MIN },
	{ "github_pat_", TOKEN_MIN },
	{ "glpat-", TOKEN_MIN },
	{ "sk-", TOKEN_MIN },
	{ "sk_live_", TOKEN_MIN },
	{ "sk_test_", TOKEN_MIN },
	{ "rk_live_", TOKEN_MIN },
	{ "xoxb-", TOKEN_MIN },
	{ "xoxp-", TOKEN_MIN },
	{ "xoxa-", TOKEN_MIN },
	{ "xoxs-", TOKEN_MIN },
	{ "xapp-", TOKEN_MIN },
	{ "npm_", TOKEN_MIN },
	{ "pypi-", TOKEN_MIN },
	{ "hf_", TOKEN_MIN },
	{ "dop_v1_", TOKEN_MIN },
	{ "AKIA", TOKEN_MIN },
	{ "ASIA", TOKEN_MIN },
	{ "AIza", 32 },
	{ "eyJ", TOKEN_MIN },
};

static bool is_token_byte(int c)
{
	return c >= 0 && (isalnum(c) || c == '_' || c == '-' || c == '.');
}

static Span token(const Text *text, size_t i)
{
	for (size_t k = 0; k < sizeof(tokens) / sizeof(tokens[0]); k++) {
		size_t end = i + strlen(tokens[k].start), digits = 0;

		if (!begins(text, i, tokens[k].start))
			continue;
		while (is_token_byte(at(text, end))) {
			digits += isdigit((unsigned char)text->s[end]) || isupper((unsigned char)text->s[end]);
			end++;
			/* words of a language have neither: sk-learn-contrib-examples */
			if (!digits && end - i > 256)
				break;
		}
		if (digits && end - i >= strlen(tokens[k].start) + tokens[k].least)
			return (Span){ i, end };
	}
	return (Span){ i, i };
}

/* One whose end is not there goes on while it looks like one: what only speaks of keys stays. */
static Span private_key(const Text *text, size_t i)
{
	static const char end[] = "-----END ";
	const char *line_end, *found;
	size_t left;
	Span span = { i, i };

	if (!begins(text, i, "-----BEGIN "))
		return span;
	line_end = memmem(text->s + i + 11, text->n - i - 11 < 64 ? text->n - i - 11 : 64, "PRIVATE KEY", 11);
	if (!line_end)
		return span;
	span.from = (size_t)(line_end - text->s) + 11;
	while (at(text, span.from) == '-')
		span.from++;
	left = text->n - span.from;
	found = memmem(text->s + span.from, left < KEY_MAX ? left : KEY_MAX, end, sizeof(end) - 1);
	span.to = found ? (size_t)(found - text->s) : span.from;
	while (!found && span.to < text->n && text->s[span.to] &&
		(isalnum((unsigned char)text->s[span.to]) || strchr(" \t\r\n\\+/=:,-", text->s[span.to])))
		span.to++;
	return span;
}

/* Behind "://": the password before an @ that comes before the path. */
static Span url_password(const Text *text, size_t i)
{
	size_t from = 0, to = 0;

	for (size_t k = i; k < text->n && !strchr("/ \t\r\n\"'<>?#`", text->s[k]); k++) {
		if (text->s[k] == ':' && !from)
			from = k + 1;
		if (text->s[k] == '@')
			to = k;
	}
	return from && to > from && !is_variable(text, from) ? (Span){ from, to } : (Span){ i, i };
}

/* Behind \n, \r, \t, as in JSON, programs and quoted commands. */
static bool is_escaped_blank(const Text *text, size_t i)
{
	return i >= 2 && text->s[i - 2] == '\\' && memchr("nrt", text->s[i - 1], 3);
}

static Span find_at(const Text *text, size_t i)
{
	bool escaped = is_escaped_blank(text, i), inside = i && isalnum((unsigned char)text->s[i - 1]) && !escaped,
	     word_begins = i == 0 || !is_name_byte(at(text, i - 1)) || escaped;
	Span name = { i, i }, span = { i, i };

	if (begins(text, i, "://"))
		return url_password(text, i + 3);
	if (!inside && text->s[i] == '-')
		span = private_key(text, i);
	if (span.to == span.from && !inside)
		span = token(text, i);
	if (span.to > span.from || !word_begins || !is_name_byte(at(text, i)))
		return span;
	while (is_name_byte(at(text, name.to)))
		name.to++;
	return value_of_name(text, name);
}

int redact(const char *s, size_t n, char **ret, size_t *ret_n)
{
	const Text text = { s, n };
	_cleanup_free_ char *made = NULL;
	size_t made_n = 0, copied = 0;
	FILE *file = NULL;
	int found = 0;

	for (size_t i = 0; i < n;) {
		Span span = find_at(&text, i);

		if (span.to <= span.from || span.from < copied) {
			i++;
			continue;
		}
		if (!file) {
			file = open_memstream(&made, &made_n);
			if (!file)
				return -ENOMEM;
		}
		(void)fwrite(s + copied, 1, span.from - copied, file);
		(void)fputs(REDACTED, file);
		copied = i = span.to;
		found++;
	}
	if (!file) {
		*ret = NULL;
		return 0;
	}
	(void)fwrite(s + copied, 1, n - copied, file);
	if (fclose(file) != 0)
		return -ENOMEM;
	*ret = TAKE_PTR(made);
	*ret_n = made_n;
	return found;
}

const char *redact_quote(const char *s, char *buffer, size_t size)
{
	_cleanup_free_ char *clean = NULL;
	size_t n = strnlen(s, size + BEHIND), clean_n = 0;

	if (redact(s, n, &clean, &clean_n) < 0)
		return "?";
	return clean ? str_quote(clean, clean_n, buffer, size) : str_quote(s, n, buffer, size);
}

/* SPDX-License-Identifier: MIT */
/*
 * jansson reads; what it would take in silence, or name by an offset only, is looked at here: depth (it recurses, up to
 * 2048) is bounded before it begins, a key that stands twice is named.
 */
#include "shell/tools/jsontext.h"
#include "shell/base/str.h"
#include "shell/base/utf8.h"

#include <stdbool.h>
#include <string.h>

static size_t depth_of(const char *text, size_t n)
{
	size_t depth = 0, deepest = 0;
	bool quoted = false;

	for (size_t i = 0; i < n; i++) {
		if (quoted && text[i] == '\\')
			i++;
		else if (text[i] == '"')
			quoted = !quoted;
		else if (quoted)
			continue;
		else if (text[i] == '[' || text[i] == '{')
			deepest = ++depth > deepest ? depth : deepest;
		else if ((text[i] == ']' || text[i] == '}') && depth)
			depth--;
	}
	return deepest;
}

/* The string that ends with the quote before `end`, in jansson's error the one that it has just read. */
static const char *string_before(const char *text, size_t end, char *buffer, size_t size)
{
	size_t start;

	if (end < 2 || text[end - 1] != '"')
		return "";
	for (start = end - 1; start > 0; start--) {
		size_t slashes = 0;

		if (text[start - 1] != '"')
			continue;
		while (start >= 2 + slashes && text[start - 2 - slashes] == '\\')
			slashes++;
		if (slashes % 2 == 0)
			break;
	}
	return str_quote(text + start, end - 1 - start, buffer, size);
}

int jsontext_parse(const char *text, size_t n, json_t **ret, char *why, size_t why_size)
{
	char key[96];
	json_error_t error;
	json_t *value;

	if (n > JSONTEXT_BYTES_MAX) {
		(void)snprintf(why, why_size, "more than %u bytes", JSONTEXT_BYTES_MAX);
		return -EINVAL;
	}
	if (depth_of(text, n) > JSONTEXT_DEPTH_MAX) {
		(void)snprintf(why, why_size, "nested deeper than %u arrays and objects", JSONTEXT_DEPTH_MAX);
		return -EINVAL;
	}
	value = json_loadb(text, n, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (value) {
		*ret = value;
		return 0;
	}
	switch (json_error_code(&error)) {
	case json_error_out_of_memory:
		return -ENOMEM;
	case json_error_duplicate_key:
		(void)snprintf(why, why_size, "`%s` stands twice in one object",
			error.position > 0 && (size_t)error.position <= n
				? string_before(text, (size_t)error.position, key, sizeof(key))
				: "");
		return -EINVAL;
	default:
		/* its text quotes the input */
		(void)snprintf(why, why_size, "no JSON: %s (byte %d)",
			str_quote(error.text, strnlen(error.text, sizeof(error.text)), key, sizeof(key)),
			error.position);
		return -EINVAL;
	}
}

char *jsontext_print(const json_t *value, size_t *ret_n)
{
	char *text = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);

	if (text)
		*ret_n = strlen(text);
	return text;
}

json_t *jsontext_string(const char *bytes, size_t n)
{
	static const char replacement[] = "\xef\xbf\xbd";
	_cleanup_free_ char *text = NULL;
	size_t used = 0, bad = 0;

	for (size_t i = 0, length; i < n; i += length ? length : 1) {
		length = utf8_length(bytes + i, n - i);
		bad += !length;
	}
	if (!bad)
		return json_stringn_nocheck(bytes, n);
	text = malloc(n + bad * (sizeof(replacement) - 2));
	if (!text)
		return NULL;
	for (size_t i = 0, length; i < n; i += length ? length : 1) {
		length = utf8_length(bytes + i, n - i);
		if (length) {
			memcpy(text + used, bytes + i, length);
			used += length;
		} else {
			memcpy(text + used, replacement, sizeof(replacement) - 1);
			used += sizeof(replacement) - 1;
		}
	}
	return json_stringn_nocheck(text, used);
}

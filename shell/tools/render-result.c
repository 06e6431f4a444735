/* SPDX-License-Identifier: MIT */
/*
 * jansson takes no text that is broken, and rightly; but what is shown here may come from any program, and a message that
 * says "byte 1234 is wrong" helps nobody who waits for a chart. So it is mended first, where mending cannot change its
 * structure: within strings, which is the only place of such bytes.
 */
#include "shell/tools/render-result.h"
#include "shell/base/utf8.h"

#include <string.h>

#define REPLACEMENT "\xef\xbf\xbd"

/* The code unit of the escape \uNNNN at `s`; UINT32_MAX where there is none. */
static uint32_t escaped_unit(const char *s, size_t n)
{
	uint32_t unit = 0;

	if (n < 6 || s[0] != '\\' || s[1] != 'u')
		return UINT32_MAX;
	for (size_t i = 2; i < 6; i++) {
		const char *digits = "0123456789abcdef", *digit = s[i] ? strchr(digits, s[i] | 0x20) : NULL;

		if (!digit || (s[i] >= 'P' && s[i] <= 'Z'))
			return UINT32_MAX;
		unit = unit << 4 | (uint32_t)(digit - digits);
	}
	return unit;
}

static bool is_high(uint32_t unit)
{
	return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low(uint32_t unit)
{
	return unit >= 0xdc00 && unit < 0xe000;
}

/* Copies the escape at `s` to `file`, mended; returns its bytes. */
static size_t mend_escape(const char *s, size_t n, FILE *file)
{
	uint32_t unit = escaped_unit(s, n);
	size_t length = unit == UINT32_MAX ? (n < 2 ? n : 2) : 6;

	if (unit != UINT32_MAX && is_high(unit) && n >= 12 && is_low(escaped_unit(s + 6, n - 6)))
		length = 12;
	else if (unit != UINT32_MAX && (is_high(unit) || is_low(unit)))
		s = "\\ufffd";
	(void)fwrite(s, 1, length, file);
	return length;
}

static int mend(const char *s, size_t n, char **ret, size_t *ret_n)
{
	_cleanup_free_ char *text = NULL;
	size_t text_n = 0;
	FILE *file = open_memstream(&text, &text_n);

	if (!file)
		return -ENOMEM;
	for (size_t i = 0; i < n;) {
		size_t length = utf8_length(s + i, n - i);

		if (s[i] == '\\') {
			i += mend_escape(s + i, n - i, file);
		} else if (length) {
			(void)fwrite(s + i, 1, length, file);
			i += length;
		} else {
			(void)fputs(REPLACEMENT, file);
			i++;
		}
	}
	if (fclose(file) != 0)
		return -ENOMEM;
	*ret = TAKE_PTR(text);
	*ret_n = text_n;
	return 0;
}

static int wrong(const char *name, const char *what, char *why, size_t why_size)
{
	(void)snprintf(why, why_size, "`%s` is no %s", name, what);
	return -EINVAL;
}

/* null is the same as missing. */
static const json_t *member(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name);

	return json_is_null(value) ? NULL : value;
}

static int read_text(const json_t *object, const char *name, RenderText *ret, char *why, size_t why_size)
{
	const json_t *value = member(object, name);

	if (!value)
		return 0;
	if (!json_is_string(value))
		return wrong(name, "string", why, why_size);
	*ret = (RenderText){ json_string_value(value), json_string_length(value) };
	return 0;
}

static int read_string(const json_t *object, const char *name, const char **ret, char *why, size_t why_size)
{
	RenderText text = { 0 };
	int r = read_text(object, name, &text, why, why_size);

	/* up to a NUL: these are names and sentences */
	if (!r && text.s)
		*ret = text.s;
	return r;
}

static int read_truncated(const json_t *object, RenderRequest *request, char *why, size_t why_size)
{
	static const char *const names[] = { "stdout", "stderr" };
	const char **files[] = { &request->stdout_file, &request->stderr_file };
	const json_t *truncated = member(object, "truncated");

	if (!truncated || json_is_false(truncated))
		return 0;
	if (!json_is_object(truncated))
		return wrong("truncated", "object", why, why_size);
	for (size_t i = 0; i < ELEMENTSOF(names); i++) {
		const json_t *stream = member(truncated, names[i]);
		int r;

		if (!stream)
			continue;
		if (!json_is_object(stream))
			return wrong(names[i], "object", why, why_size);
		r = read_string(stream, "file", files[i], why, why_size);
		if (r < 0)
			return r;
		request->left_out = true;
	}
	return 0;
}

static int read_file(const json_t *value, RenderFile *ret, char *why, size_t why_size)
{
	const json_t *bytes;
	int r;

	*ret = (RenderFile){ .name = "", .status = "" };
	if (!json_is_object(value))
		return wrong("files", "array of objects", why, why_size);
	r = read_string(value, "name", &ret->name, why, why_size);
	if (!r)
		r = read_string(value, "status", &ret->status, why, why_size);
	bytes = member(value, "bytes");
	if (!r && bytes && (!json_is_integer(bytes) || json_integer_value(bytes) < 0))
		return wrong("bytes", "number of bytes", why, why_size);
	ret->bytes = (uint64_t)json_integer_value(bytes);
	return r;
}

static int read_files(const json_t *object, RenderResult *result, char *why, size_t why_size)
{
	const json_t *files = member(object, "files");
	size_t n = json_array_size(files);

	if (!files)
		return 0;
	if (!json_is_array(files))
		return wrong("files", "array", why, why_size);
	result->files = calloc(n + 1, sizeof(*result->files));
	if (!result->files)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		int r = read_file(json_array_get(files, i), &result->files[i], why, why_size);

		if (r < 0)
			return r;
	}
	result->request.files = result->files;
	result->request.n_files = n;
	return 0;
}

static int read_all(RenderResult *result, char *why, size_t why_size)
{
	RenderRequest *request = &result->request;
	const json_t *object = result->value;
	int r;

	if (!json_is_object(object))
		return wrong("result", "object", why, why_size);
	request->code = request->stdout_text = request->stderr_text = (RenderText){ "", 0 };
	r = read_text(object, "stdout", &request->stdout_text, why, why_size);
	if (!r)
		r = read_text(object, "stderr", &request->stderr_text, why, why_size);
	if (!r)
		r = read_string(object, "error", &request->error, why, why_size);
	if (!r)
		r = read_truncated(object, request, why, why_size);
	if (!r)
		r = read_files(object, result, why, why_size);
	/* an answer of exec-server's around it, say, of which nothing would be shown */
	if (!r && !json_object_get(object, "stdout") && !json_object_get(object, "stderr") &&
		!json_object_get(object, "error")) {
		(void)snprintf(why, why_size, "no result: it has neither `stdout` nor `stderr` nor `error`");
		r = -EINVAL;
	}
	return r;
}

int render_result_read(const char *text, size_t n, RenderResult *ret, char *why, size_t why_size)
{
	_cleanup_(render_result_done) RenderResult result = { 0 };
	_cleanup_free_ char *mended = NULL;
	size_t mended_n;
	int r;

	r = mend(text, n, &mended, &mended_n);
	if (!r)
		r = jsontext_parse(mended, mended_n, &result.value, why, why_size);
	if (!r)
		r = read_all(&result, why, why_size);
	if (r < 0)
		return r;
	*ret = result;
	result = (RenderResult){ 0 };
	return 0;
}

void render_result_done(RenderResult *result)
{
	json_decref(result->value);
	free(result->files);
	*result = (RenderResult){ 0 };
}

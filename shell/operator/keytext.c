/* SPDX-License-Identifier: MIT */
/*
 * A key that cannot log in is found here, by the operator, and not by the agent at its first login. Private
 * keys are told apart by their armour, because pasting the wrong file is the usual mistake.
 */
#include "shell/operator/keytext.h"
#include "shell/base/base64.h"
#include "shell/base/key-type.h"

#include <string.h>

/* A blob is a row of strings, each behind its 32-bit length (RFC 4253 section 6.6); the first is the type. */
static const char *blob_refusal(const char *type, const unsigned char *blob, size_t n)
{
	size_t at = 0, parts = 0, first = 0;

	while (at < n) {
		size_t length;

		if (n - at < 4)
			return "its data is cut off";
		length = (size_t)blob[at] << 24 | (size_t)blob[at + 1] << 16 | (size_t)blob[at + 2] << 8 | blob[at + 3];
		at += 4;
		if (length > n - at)
			return "its data is cut off";
		if (!parts++) {
			if (length != strlen(type) || memcmp(blob + at, type, length) != 0)
				return "its data is of another type than it says";
			first = length;
		}
		at += length;
	}
	if (strcmp(type, "ssh-ed25519") == 0)
		return parts == 2 && n == first + 40 ? NULL : "its data is not an Ed25519 key";
	/* a security key's application is one part more */
	if (strcmp(type, "sk-ssh-ed25519@openssh.com") == 0)
		return parts == 3 && n > first + 44 && blob[first + 7] == 32 ? NULL : "its data is not such a key";
	if (parts != (strncmp(type, "sk-", 3) == 0 ? 4 : 3))
		return "its data has not the parts of such a key";
	/* type, exponent, modulus: 2048 bits are 256 bytes */
	if (strcmp(type, "ssh-rsa") == 0 && n < 4 + first + 4 + 1 + 4 + 256)
		return "it is an RSA key of less than 2048 bits";
	return NULL;
}

static int line_check(char *line, unsigned number, StrList *keys, Reason *ret_reason)
{
	_cleanup_free_ unsigned char *blob = NULL;
	char *type, *data, *comment, *key, shown[96];
	const char *why;
	size_t n;

	line += strspn(line, " \t");
	for (size_t i = strlen(line); i && strchr(" \t\r", line[i - 1]); i--)
		line[i - 1] = '\0';
	if (!*line || *line == '#')
		return 0;
	if (strncmp(line, "-----BEGIN ", 11) == 0)
		return reason_set(ret_reason, -EINVAL,
			"line %u: this is %s; the public key is the line in the file with .pub", number,
			strstr(line, "PRIVATE") ? "a private key" : "not a key of authorized_keys");
	for (const char *p = line; *p; p++)
		if ((unsigned char)*p < 0x20 && *p != '\t')
			return reason_set(ret_reason, -EINVAL, "line %u: it has a control character", number);

	comment = line;
	type = strsep(&comment, " \t");
	(void)str_quote(type, strlen(type), shown, sizeof(shown));
	if (!key_type_is_known(type, strlen(type)))
		return reason_set(ret_reason, -EINVAL,
			"line %u: `%s` is not a type of key that can log in (and options are not taken "
			"here)",
			number, shown);
	if (comment)
		comment += strspn(comment, " \t");
	data = strsep(&comment, " \t");
	if (!data || !*data)
		return reason_set(ret_reason, -EINVAL, "line %u: the key's data is missing", number);
	blob = malloc(BASE64_DECODED_MAX(strlen(data)) + 1);
	if (!blob)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (base64_decode(data, strlen(data), false, blob, &n) < 0)
		return reason_set(ret_reason, -EINVAL, "line %u: the key's data is not base64", number);
	why = blob_refusal(type, blob, n);
	if (why)
		return reason_set(ret_reason, -EINVAL, "line %u: %s", number, why);

	if (comment)
		comment += strspn(comment, " \t");
	key = comment && *comment ? str_format("%s %s %s\n", type, data, comment) : str_format("%s %s\n", type, data);
	if (strlist_push(keys, key) < 0)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	return 0;
}

int keytext_check(const char *text, size_t n, char **ret, Reason *ret_reason)
{
	_cleanup_strlist_ StrList keys = { 0 };
	_cleanup_free_ char *copy = strndup(text, n), *all = NULL;
	char *rest = copy, *line, *end;
	unsigned number = 0;
	size_t room = 1;

	if (!copy)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	if (n > KEYTEXT_MAX)
		return reason_set(ret_reason, -EINVAL, "more than %u KiB", KEYTEXT_MAX / 1024);
	if (strlen(copy) != n)
		return reason_set(ret_reason, -EINVAL, "it has a NUL byte");
	while ((line = strsep(&rest, "\n"))) {
		int r = line_check(line, ++number, &keys, ret_reason);

		if (r < 0)
			return r;
	}
	if (!keys.n)
		return reason_set(ret_reason, -EINVAL, "there is no key in it");

	for (size_t i = 0; i < keys.n; i++)
		room += strlen(keys.items[i]);
	all = calloc(1, room);
	if (!all)
		return reason_set(ret_reason, -ENOMEM, "%s", strerror(ENOMEM));
	end = all;
	for (size_t i = 0; i < keys.n; i++)
		end = stpcpy(end, keys.items[i]);
	*ret = TAKE_PTR(all);
	return 0;
}

/* SPDX-License-Identifier: MIT */
#include "shell/base/base64.h"

#include <string.h>

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* Four characters. Returns the number of bytes, 1 to 3, of which only the last group may have less than 3. */
static int group_decode(const char group[static 4], uint8_t ret[static 3])
{
	int padding = group[3] != '=' ? 0 : group[2] != '=' ? 1 : 2;
	uint32_t bits = 0;

	for (int i = 0; i < 4; i++) {
		int value = i >= 4 - padding ? 0 : digit_value(group[i]);

		if (value < 0)
			return -EBADMSG;
		bits = bits << 6 | (uint32_t)value;
	}
	/* two spellings of the same bytes are one too many */
	if (bits & ((1U << 8 * padding) - 1))
		return -EBADMSG;
	for (int i = 0; i < 3 - padding; i++)
		ret[i] = (uint8_t)(bits >> (16 - 8 * i));
	return 3 - padding;
}

int base64_decode(const char *text, size_t n, bool lines, uint8_t *ret, size_t *ret_n)
{
	unsigned int have = 0;
	bool ended = false;
	size_t used = 0;
	char group[4];

	for (size_t i = 0; i < n; i++) {
		uint8_t bytes[3];
		int got;

		if (lines && (text[i] == '\n' || text[i] == '\r'))
			continue;
		if (ended)
			return -EBADMSG;
		group[have++] = text[i];
		if (have < 4)
			continue;
		have = 0;
		got = group_decode(group, bytes);
		if (got < 0)
			return got;
		memcpy(ret + used, bytes, (size_t)got);
		used += (size_t)got;
		ended = got < 3;
	}
	if (have)
		return -EBADMSG;
	*ret_n = used;
	return 0;
}

bool base64_equals(const char *text, size_t n, const uint8_t *data, size_t data_n)
{
	size_t at = 0;

	if (n % 4 || n / 4 != (data_n + 2) / 3)
		return false;
	for (size_t i = 0; i < n; i += 4) {
		size_t want = data_n - at < 3 ? data_n - at : 3;
		uint8_t bytes[3];

		if (group_decode(text + i, bytes) != (int)want || memcmp(bytes, data + at, want) != 0)
			return false;
		at += want;
	}
	return true;
}

size_t base64_encode(const uint8_t *data, size_t n, char *ret)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *p = ret;

	while (n) {
		size_t have = n < 3 ? n : 3;
		uint32_t bits = (uint32_t)data[0] << 16;

		if (have > 1)
			bits |= (uint32_t)data[1] << 8;
		if (have > 2)
			bits |= data[2];
		*p++ = digits[bits >> 18];
		*p++ = digits[bits >> 12 & 63];
		*p++ = have > 1 ? digits[bits >> 6 & 63] : '=';
		*p++ = have > 2 ? digits[bits & 63] : '=';
		data += have;
		n -= have;
	}
	return (size_t)(p - ret);
}

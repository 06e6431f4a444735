/* SPDX-License-Identifier: MIT */
#include "shell/base/utf8.h"

#include <string.h>

size_t utf8_length(const void *text, size_t n)
{
	const unsigned char *s = text;
	unsigned char low = 0x80, high = 0xbf;
	size_t length;

	if (s[0] < 0x80)
		return 1;
	if (s[0] >= 0xc2 && s[0] <= 0xdf)
		length = 2;
	else if (s[0] >= 0xe0 && s[0] <= 0xef)
		length = 3;
	else if (s[0] >= 0xf0 && s[0] <= 0xf4)
		length = 4;
	else
		return 0;
	if (length > n)
		return 0;
	if (s[0] == 0xe0)
		low = 0xa0;
	else if (s[0] == 0xed)
		high = 0x9f;
	else if (s[0] == 0xf0)
		low = 0x90;
	else if (s[0] == 0xf4)
		high = 0x8f;
	if (s[1] < low || s[1] > high)
		return 0;
	for (size_t i = 2; i < length; i++)
		if (s[i] < 0x80 || s[i] > 0xbf)
			return 0;
	return length;
}

size_t utf8_cut(const void *text, size_t n)
{
	const unsigned char *s = text;
	/* the least that could still follow, so that only what is missing makes it invalid */
	static const unsigned char rests[][3] = { { 0x80, 0x80, 0x80 }, { 0xa0, 0x80, 0x80 }, { 0x90, 0x80, 0x80 } };

	for (size_t back = 1; back <= 3 && back <= n; back++) {
		const unsigned char *start = s + n - back;
		unsigned char whole[7];

		if (*start < 0x80)
			return 0;
		if (*start < 0xc0)
			continue;
		if (utf8_length(start, back))
			return 0;
		for (size_t i = 0; i < sizeof(rests) / sizeof(rests[0]); i++) {
			memcpy(whole, start, back);
			memcpy(whole + back, rests[i], 3);
			if (utf8_length(whole, back + 3) > back)
				return back;
		}
		return 0;
	}
	return 0;
}

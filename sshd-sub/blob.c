/* SPDX-License-Identifier: MIT */
#include "sshd-sub/blob.h"

#include <string.h>

Slice blob_get_raw(Blob *blob, size_t n)
{
	Slice slice = { .data = blob->at, .n = n };

	if (blob->failed || n > blob->left) {
		blob->failed = true;
		return (Slice){ .data = (const uint8_t *)"" };
	}
	blob->at += n;
	blob->left -= n;
	return slice;
}

uint8_t blob_get_byte(Blob *blob)
{
	Slice slice = blob_get_raw(blob, 1);

	return slice.n ? slice.data[0] : 0;
}

uint32_t blob_get_u32(Blob *blob)
{
	Slice slice = blob_get_raw(blob, 4);

	if (!slice.n)
		return 0;
	return (uint32_t)slice.data[0] << 24 | (uint32_t)slice.data[1] << 16 | (uint32_t)slice.data[2] << 8 |
	       slice.data[3];
}

Slice blob_get_string(Blob *blob)
{
	uint32_t n = blob_get_u32(blob);

	return blob_get_raw(blob, n);
}

Slice blob_get_mpint(Blob *blob)
{
	Slice slice = blob_get_string(blob);

	if (!slice.n || slice.data[0] & 0x80) {
		blob->failed = true;
		return (Slice){ .data = (const uint8_t *)"" };
	}
	if (slice.data[0] == 0) {
		slice.data++;
		slice.n--;
		if (!slice.n || !(slice.data[0] & 0x80)) {
			blob->failed = true;
			return (Slice){ .data = (const uint8_t *)"" };
		}
	}
	return slice;
}

bool blob_done(const Blob *blob)
{
	return !blob->failed && blob->left == 0;
}

bool slice_equal(Slice slice, const char *s)
{
	return slice.n == strlen(s) && memcmp(slice.data, s, slice.n) == 0;
}

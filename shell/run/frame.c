/* SPDX-License-Identifier: MIT */
#include "shell/run/frame.h"

#include <string.h>
#include <unistd.h>

ssize_t frame_read(FrameReader *reader, int fd)
{
	ssize_t n;

	if (reader->n == sizeof(reader->bytes))
		return -ENOBUFS; /* what is there has not been taken out: it is no frame */
	do
		n = read(fd, reader->bytes + reader->n, sizeof(reader->bytes) - reader->n);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	reader->n += (size_t)n;
	return n;
}

static uint32_t get_u32(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

/* Bytes of the character that begins at `p` (RFC 3629), or 0. */
static size_t character(const uint8_t *p, size_t n)
{
	static const uint32_t least[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t bytes = p[0] < 0x80 ? 1 : p[0] >= 0xf0 && p[0] < 0xf8 ? 4 : p[0] >= 0xe0 ? 3 : p[0] >= 0xc0 ? 2 : 0;
	uint32_t value = bytes == 1 ? p[0] : p[0] & (0xffU >> (bytes + 1));

	if (!bytes || bytes > n || p[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < bytes; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		value = value << 6 | (p[i] & 0x3f);
	}
	if (value < least[bytes] || value > 0x10ffff || (value >= 0xd800 && value < 0xe000))
		return 0;
	/* C0 and C1 controls, DEL */
	if ((value < 0x20 && value != '\n' && value != '\t') || (value >= 0x7f && value < 0xa0))
		return 0;
	return bytes;
}

static void take_text(const uint8_t *p, size_t n, char *ret)
{
	for (size_t bytes; n > 0; p += bytes, n -= bytes) {
		bytes = character(p, n);
		if (bytes) {
			memcpy(ret, p, bytes);
			ret += bytes;
		} else {
			bytes = 1;
			*ret++ = '?';
		}
	}
	*ret = '\0';
}

static int take_done(const uint8_t *payload, size_t n, Frame *ret)
{
	if (n < 2 || n > 2 + FRAME_ERROR_MAX || !payload[0] || !strchr("oeix", payload[0]))
		return -EBADMSG;
	ret->type = 'D';
	ret->status = (FrameStatus)payload[0];
	ret->exit_status = payload[1];
	take_text(payload + 2, n - 2, ret->error);
	return 1;
}

int frame_next(FrameReader *reader, Frame *ret)
{
	const uint8_t *payload = reader->bytes + FRAME_HEAD;
	uint32_t n;
	int r;

	/* a wrong type is told by the first byte */
	if (reader->n && reader->bytes[0] != 'H' && reader->bytes[0] != 'D')
		return -EBADMSG;
	if (reader->n < FRAME_HEAD)
		return 0;
	n = get_u32(reader->bytes + 1);
	if (n > FRAME_MAX - FRAME_HEAD)
		return -EBADMSG;
	if (reader->n < FRAME_HEAD + n)
		return 0;
	if (reader->bytes[0] == 'D') {
		r = take_done(payload, n, ret);
		if (r < 0)
			return r;
	} else if (n) {
		return -EBADMSG;
	} else {
		ret->type = 'H';
		ret->error[0] = '\0';
	}
	reader->n -= FRAME_HEAD + n;
	memmove(reader->bytes, reader->bytes + FRAME_HEAD + n, reader->n);
	return 1;
}

size_t frame_begin(uint8_t ret[static FRAME_BEGIN_MAX], uint8_t flags, const char *label, uint32_t code_bytes)
{
	size_t label_n = strnlen(label, FRAME_LABEL_MAX);
	uint32_t n = (uint32_t)(1 + label_n + 1) + code_bytes;

	ret[0] = 'R';
	ret[1] = (uint8_t)(n >> 24);
	ret[2] = (uint8_t)(n >> 16);
	ret[3] = (uint8_t)(n >> 8);
	ret[4] = (uint8_t)n;
	ret[FRAME_HEAD] = flags;
	memcpy(ret + FRAME_HEAD + 1, label, label_n);
	ret[FRAME_HEAD + 1 + label_n] = 0;
	return FRAME_HEAD + 1 + label_n + 1;
}

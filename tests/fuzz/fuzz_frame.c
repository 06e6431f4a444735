/* SPDX-License-Identifier: MIT */
/*
 * What a REPL's driver says to the keeper: the first byte is how many bytes come at a time, the rest what it says. Whatever is
 * let through is a frame of the two kinds, and its text can be sent on.
 */
#include "shell/run/frame.h"

#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void expect_text(const char *text)
{
	expect(strnlen(text, FRAME_ERROR_MAX + 1) <= FRAME_ERROR_MAX);
	for (const char *p = text; *p; p++)
		expect((uint8_t)*p >= 0x20 || *p == '\n' || *p == '\t');
	expect(!strchr(text, 0x7f));
}

/* False: the connection is given up. */
static bool take_frames(FrameReader *reader)
{
	static Frame frame;
	int r;

	while ((r = frame_next(reader, &frame)) > 0) {
		expect(frame.type == 'H' || (frame.type == 'D' && strchr("oeix", (int)frame.status)));
		expect_text(frame.error);
	}
	return r == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	FrameReader reader = { 0 };
	int fd;

	if (n < 2)
		return 0;
	fd = memfd_create("frames", MFD_CLOEXEC);
	expect(fd >= 0);
	for (size_t at = 1, part = data[0] + 1U; at < n; at += part) {
		if (part > n - at)
			part = n - at;
		expect(pwrite(fd, data + at, part, (off_t)(at - 1)) == (ssize_t)part);
		if (frame_read(&reader, fd) < 0 || !take_frames(&reader))
			break;
	}
	return close(fd);
}

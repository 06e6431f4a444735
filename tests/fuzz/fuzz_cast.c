/* SPDX-License-Identifier: MIT */
/* Recordings of terminals: whatever a terminal shows, in whatever pieces, each event is one line of ASCII or UTF-8, within the bound. */
#include "shell/audit/cast.h"
#include "shell/base/utf8.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_lines(const char *text, size_t n)
{
	if (!n || text[n - 1] != '\n')
		abort();
	for (size_t i = 0; i < n;) {
		size_t length = utf8_length(text + i, n - i);

		if (!length || ((unsigned char)text[i] < 0x20 && text[i] != '\n') || text[i] == 0x7f)
			abort();
		if (text[i] == '\n' && i > 0 && text[i - 1] != ']' && text[i - 1] != '}')
			abort();
		i += length;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const CastHeader header = { .title = "t", .term = "x", .shell = "/bin/sh" };
	_cleanup_close_ int fd = memfd_create("cast", MFD_CLOEXEC);
	static char text[CAST_LEAST];
	ssize_t n;
	Cast cast;

	if (fd < 0 || cast_begin(&cast, fd, CAST_LEAST, 0, &header) < 0)
		return 0;
	/* each piece is as long as the byte before it says */
	for (size_t at = 0; at < size;) {
		size_t piece = (size_t)data[at] + 1;

		at++;
		if (piece > size - at)
			piece = size - at;
		cast_output(&cast, at, (const char *)data + at, piece);
		at += piece;
	}
	if (lseek(fd, 0, SEEK_END) > (off_t)sizeof(text))
		abort();
	n = pread(fd, text, sizeof(text), 0);
	if (n > 0)
		check_lines(text, (size_t)n);
	return 0;
}

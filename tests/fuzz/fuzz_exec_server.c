/* SPDX-License-Identifier: MIT */
/* What a client of creel exec-server sends, in pieces: lines, and the requests in them. */
#include "shell/tools/exec-request.h"
#include "shell/tools/lines.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

#define LINE_MAX_HERE 4096U

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void on_line(const char *line, size_t n)
{
	ExecRequest request;
	ExecError error = EXEC_ERRORS_N;
	char why[512] = "";
	int r;

	expect(n <= LINE_MAX_HERE);
	r = exec_request_read(line, n, &request, &error, why, sizeof(why));
	expect(r == 0 || r == -EINVAL || r == -ENOMEM);
	if (r == -EINVAL) {
		expect(error < EXEC_ERRORS_N && *exec_error_name(error) && *why);
		for (const char *c = why; *c; c++)
			expect((unsigned char)*c >= 0x20 && (unsigned char)*c < 0x7f);
	}
	if (r == 0) {
		expect(request.id && request.method < EXEC_METHODS_N);
		expect(request.method != EXEC_RUN || (request.code.bytes && request.options.language));
		expect(request.method != EXEC_CANCEL || request.target);
	}
	exec_request_done(&request);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	LineReader reader = { .max = LINE_MAX_HERE };
	char *line;
	size_t length, room;

	for (size_t piece = 1; n; piece = piece * 3 % 1021) {
		char *at = line_room(&reader, &room);
		size_t part = piece < n ? piece : n;
		LineEvent event;

		expect(at && room);
		part = part < room ? part : room;
		memcpy(at, data, part);
		line_added(&reader, part);
		data += part;
		n -= part;
		while ((event = line_next(&reader, &line, &length)) != LINE_NONE)
			if (event == LINE_WHOLE)
				on_line(line, length);
		expect(line_pending(&reader) <= LINE_MAX_HERE);
	}
	line_reader_done(&reader);
	return 0;
}

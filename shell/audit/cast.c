/* SPDX-License-Identifier: MIT */
#include "shell/audit/cast.h"
#include "shell/audit/redact.h"
#include "shell/base/file.h"
#include "shell/base/json.h"
#include "shell/base/utf8.h"

#include <string.h>

#define CHUNK 16384U   /* bytes of output in one event; as JSON they are six times as many at most */
#define MARK_ROOM 128U /* bytes: for the last event */

static int put_line(Cast *cast, const char *line, size_t n)
{
	int r;

	if (cast->fd < 0 || n > cast->left)
		return -ENOSPC;
	r = file_write_all(cast->fd, line, n);
	if (r < 0)
		return r;
	cast->left -= n;
	return 0;
}

/* [seconds, "code", "data"]. Returns 0 or a negative errno. */
static int put_event(Cast *cast, uint64_t now_usec, char code, const char *data, size_t n, size_t reserve)
{
	_cleanup_free_ char *line = NULL;
	uint64_t at = now_usec > cast->began_usec ? now_usec - cast->began_usec : 0;
	size_t size = 0;
	FILE *file = open_memstream(&line, &size);

	if (!file)
		return -ENOMEM;
	(void)fprintf(file, "[%llu.%06llu, \"%c\", ", (unsigned long long)(at / 1000000),
		(unsigned long long)(at % 1000000), code);
	json_quote(file, data, n);
	(void)fputs("]\n", file);
	if (fclose(file) != 0)
		return -ENOMEM;
	return size + reserve > cast->left ? -ENOSPC : put_line(cast, line, size);
}

static void give_up(Cast *cast, uint64_t now_usec, int why)
{
	static const char full[] = "the recording ends here: it has no more room",
			  failed[] = "the recording ends here: it cannot be written";
	const char *text = why == -ENOSPC ? full : failed;

	(void)put_event(cast, now_usec, 'm', text, strlen(text), 0);
	cast->fd = -EBADF;
}

static void event(Cast *cast, uint64_t now_usec, char code, const char *data, size_t n)
{
	int r;

	if (cast->fd < 0)
		return;
	r = put_event(cast, now_usec, code, data, n, MARK_ROOM);
	if (r < 0)
		give_up(cast, now_usec, r);
}

int cast_begin(Cast *cast, int fd, uint64_t most, uint64_t now_usec, const CastHeader *header)
{
	_cleanup_free_ char *line = NULL;
	bool first = true, inner = true;
	size_t size = 0;
	FILE *file;

	*cast = (Cast){ .fd = fd, .left = most, .began_usec = now_usec };
	file = open_memstream(&line, &size);
	if (!file)
		return -ENOMEM;
	(void)fputc('{', file);
	json_number(file, &first, "version", 2);
	json_number(file, &first, "width", header->columns ? header->columns : 80);
	json_number(file, &first, "height", header->rows ? header->rows : 24);
	json_number(file, &first, "timestamp", header->since_usec / 1000000);
	json_text(file, &first, "title", header->title);
	json_key(file, &first, "env");
	(void)fputc('{', file);
	json_text(file, &inner, "TERM", header->term);
	json_text(file, &inner, "SHELL", header->shell);
	(void)fputs("}}\n", file);
	if (fclose(file) != 0)
		return -ENOMEM;
	return put_line(cast, line, size);
}

static void put_output(Cast *cast, uint64_t now_usec, const char *data, size_t n)
{
	_cleanup_free_ char *clean = NULL;
	size_t clean_n = 0;

	/* what cannot be looked through is not written */
	if (redact(data, n, &clean, &clean_n) < 0)
		event(cast, now_usec, 'm', "out of memory", strlen("out of memory"));
	else
		event(cast, now_usec, 'o', clean ? clean : data, clean ? clean_n : n);
}

void cast_output(Cast *cast, uint64_t now_usec, const char *data, size_t n)
{
	char chunk[CHUNK + CAST_HELD];

	while (n && cast->fd >= 0) {
		size_t part = n < CHUNK ? n : CHUNK, all, cut;

		memcpy(chunk, cast->held, cast->held_n);
		memcpy(chunk + cast->held_n, data, part);
		all = cast->held_n + part;
		cut = utf8_cut(chunk, all);
		cast->held_n = cut;
		memcpy(cast->held, chunk + all - cut, cut);
		if (all > cut)
			put_output(cast, now_usec, chunk, all - cut);
		data += part;
		n -= part;
	}
}

void cast_size(Cast *cast, uint64_t now_usec, unsigned int columns, unsigned int rows)
{
	char text[32];

	event(cast, now_usec, 'r', text,
		(size_t)snprintf(text, sizeof(text), "%ux%u", columns & 0xffffU, rows & 0xffffU));
}

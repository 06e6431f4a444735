/* SPDX-License-Identifier: MIT */
/*
 * Values are written in the protocol's binary form (name, newline, 64-bit little-endian length, bytes, newline) when
 * they hold a newline, so nothing that a user typed can start a field of its own. An entry that is larger than a
 * datagram goes as a sealed memfd, as the protocol says.
 */
#include "shell/audit/record.h"
#include "shell/base/str.h"

#include <endian.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <syslog.h>

struct Record {
	int fd;
	uint64_t lost;
	char *identifier;
};

int record_new(const char *identifier, Record **ret)
{
	_cleanup_(record_freep) Record *record = calloc(1, sizeof(*record));

	if (!record)
		return -ENOMEM;
	record->fd = -EBADF;
	record->identifier = strdup(identifier);
	if (!record->identifier)
		return -ENOMEM;
	*ret = TAKE_PTR(record);
	return 0;
}

Record *record_free(Record *record)
{
	if (record) {
		fd_close(record->fd);
		free(record->identifier);
		free(record);
	}
	return NULL;
}

static void entry_append(RecordEntry *entry, const void *data, size_t n)
{
	if (entry->error)
		return;
	if (entry->n + n > entry->room) {
		size_t room = (entry->n + n) * 2 + 512;
		char *bigger = realloc(entry->data, room);

		if (!bigger) {
			entry->error = -ENOMEM;
			return;
		}
		entry->data = bigger;
		entry->room = room;
	}
	memcpy(entry->data + entry->n, data, n);
	entry->n += n;
}

void entry_bytes(RecordEntry *entry, const char *field, const void *value, size_t n)
{
	entry_append(entry, field, strlen(field));
	if (memchr(value, '\n', n)) {
		uint64_t size = htole64(n);

		entry_append(entry, "\n", 1);
		entry_append(entry, &size, sizeof(size));
	} else {
		entry_append(entry, "=", 1);
	}
	entry_append(entry, value, n);
	entry_append(entry, "\n", 1);
}

void entry_text(RecordEntry *entry, const char *field, const char *value)
{
	if (value && *value)
		entry_bytes(entry, field, value, strlen(value));
}

void entry_number(RecordEntry *entry, const char *field, uint64_t value)
{
	char text[24];

	(void)snprintf(text, sizeof(text), "%llu", (unsigned long long)value);
	entry_text(entry, field, text);
}

void entry_format(RecordEntry *entry, const char *field, const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		entry->error = -ENOMEM;
		return;
	}
	entry_text(entry, field, text);
}

void entry_done(RecordEntry *entry)
{
	free(entry->data);
	*entry = (RecordEntry){ 0 };
}

static int record_connect(Record *record)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX, .sun_path = RECORD_SOCKET };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	int size = 1 << 20;

	if (fd < 0)
		return -errno;
	/* the default of 208 KiB is less than one long command needs; a failure only means more memfds */
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	fd_close(record->fd);
	record->fd = TAKE_FD(fd);
	return 0;
}

static int send_as_memfd(int fd, const RecordEntry *entry)
{
	_cleanup_close_ int memory_fd = memfd_create("creel-record", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct msghdr message = { .msg_control = control.space, .msg_controllen = sizeof(control.space) };
	struct cmsghdr *header;

	if (memory_fd < 0)
		return -errno;
	if (write(memory_fd, entry->data, entry->n) != (ssize_t)entry->n)
		return -EIO;
	if (fcntl(memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE | F_SEAL_SEAL) < 0)
		return -errno;

	header = CMSG_FIRSTHDR(&message);
	header->cmsg_level = SOL_SOCKET;
	header->cmsg_type = SCM_RIGHTS;
	header->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(header), &memory_fd, sizeof(int));
	return sendmsg(fd, &message, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int record_write(Record *record, const RecordEntry *entry)
{
	int r;

	if (record->fd < 0) {
		r = record_connect(record);
		if (r < 0)
			return r;
	}
	if (send(record->fd, entry->data, entry->n, MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EMSGSIZE)
		return send_as_memfd(record->fd, entry);
	return -errno;
}

int record_send(Record *record, RecordEntry *entry)
{
	uint64_t lost = record->lost;
	int r;

	entry_text(entry, "SYSLOG_IDENTIFIER", record->identifier);
	if (lost)
		entry_number(entry, "CREEL_LOST", lost);

	r = entry->error ? entry->error : record_write(record, entry);
	if (r == -ECONNREFUSED || r == -ENOTCONN || r == -ENOENT || r == -ECONNRESET) {
		/* journald was restarted: its socket is a new one */
		record->fd = fd_close(record->fd);
		r = record_write(record, entry);
	}
	if (r < 0)
		record->lost++;
	else
		record->lost -= lost;
	entry_done(entry);
	return r;
}

/* SPDX-License-Identifier: MIT */
#include "sshd-sub/wire.h"
#include "shell/base/passing.h"

#include <string.h>

void wire_put_u32(WireWriter *writer, uint32_t value)
{
	if (writer->failed || writer->room - writer->used < sizeof(value)) {
		writer->failed = true;
		return;
	}
	memcpy(writer->data + writer->used, &value, sizeof(value));
	writer->used += sizeof(value);
}

void wire_put_bytes(WireWriter *writer, const void *data, size_t n)
{
	if (writer->failed || n > WIRE_PAYLOAD_MAX || writer->room - writer->used < sizeof(uint32_t) + n + 1) {
		writer->failed = true;
		return;
	}
	wire_put_u32(writer, (uint32_t)n);
	if (n)
		memcpy(writer->data + writer->used, data, n);
	writer->used += n;
	writer->data[writer->used++] = '\0';
}

void wire_put_string(WireWriter *writer, const char *s)
{
	wire_put_bytes(writer, s, strlen(s));
}

uint32_t wire_get_u32(WireReader *reader)
{
	uint32_t value;

	if (reader->failed || reader->left < sizeof(value)) {
		reader->failed = true;
		return 0;
	}
	memcpy(&value, reader->at, sizeof(value));
	reader->at += sizeof(value);
	reader->left -= sizeof(value);
	return value;
}

const uint8_t *wire_get_bytes(WireReader *reader, size_t max, size_t *ret_n)
{
	size_t n = wire_get_u32(reader);
	const uint8_t *data = reader->at;

	if (reader->failed || n > max || n >= reader->left || data[n] != '\0') {
		reader->failed = true;
		*ret_n = 0;
		return (const uint8_t *)"";
	}
	reader->at += n + 1;
	reader->left -= n + 1;
	*ret_n = n;
	return data;
}

const char *wire_get_string(WireReader *reader, size_t max)
{
	size_t n;
	const char *s = (const char *)wire_get_bytes(reader, max, &n);

	if (strlen(s) != n) {
		reader->failed = true;
		return "";
	}
	return s;
}

bool wire_done(const WireReader *reader)
{
	return !reader->failed && reader->left == 0;
}

int wire_send(int fd, const WireHeader *header, const void *payload, const int *fds, size_t n_fds, int flags)
{
	const struct iovec parts[2] = {
		{ .iov_base = (void *)header, .iov_len = sizeof(*header) },
		{ .iov_base = (void *)payload, .iov_len = header->length },
	};

	if (n_fds > WIRE_FDS_MAX || header->length > WIRE_PAYLOAD_MAX)
		return -EINVAL;
	return passing_send(fd, parts, header->length ? 2 : 1, fds, n_fds, flags);
}

int wire_receive(int fd, WireHeader *ret_header, uint8_t *payload, int ret_fds[static WIRE_FDS_MAX], size_t *ret_n_fds,
	int flags)
{
	WireHeader header = { 0 };
	const struct iovec parts[2] = {
		{ .iov_base = &header, .iov_len = sizeof(header) },
		{ .iov_base = payload, .iov_len = WIRE_PAYLOAD_MAX },
	};
	int fds[WIRE_FDS_MAX];
	size_t n_fds;
	ssize_t n = passing_receive(fd, parts, ELEMENTSOF(parts), fds, ELEMENTSOF(fds), &n_fds, flags);

	if (n < 0)
		return (int)n;
	if (n == 0 && !n_fds)
		return 0;
	if ((size_t)n < sizeof(header) || header.length != (size_t)n - sizeof(header)) {
		for (size_t i = 0; i < n_fds; i++)
			fd_close(fds[i]);
		return -EBADMSG;
	}
	payload[header.length] = '\0';
	*ret_header = header;
	memcpy(ret_fds, fds, n_fds * sizeof(int));
	*ret_n_fds = n_fds;
	return 1;
}

/* SPDX-License-Identifier: MIT */
/*
 * A worker's messages, as the monitor reads them: state (1 byte), header (16), payload. What the table lets through is
 * read with the fields of the message's type.
 */
#include "sshd-sub/allow.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void read_fields(uint32_t type, WireReader *reader)
{
	size_t n = 0;

	switch (type) {
	case WIRE_QUERY:
		expect(strlen(wire_get_string(reader, KEEPER_USER_MAX)) <= KEEPER_USER_MAX);
		(void)wire_get_bytes(reader, KEEPER_KEY_BLOB_MAX, &n);
		expect(n <= KEEPER_KEY_BLOB_MAX);
		break;
	case WIRE_LOGIN:
		(void)wire_get_bytes(reader, WIRE_SIGNED_DATA_MAX, &n);
		(void)wire_get_bytes(reader, WIRE_SIGNATURE_MAX, &n);
		expect(n <= WIRE_SIGNATURE_MAX);
		break;
	case WIRE_START:
		(void)wire_get_u32(reader);
		expect(strlen(wire_get_string(reader, KEEPER_COMMAND_MAX)) <= KEEPER_COMMAND_MAX);
		(void)wire_get_u32(reader);
		expect(strlen(wire_get_string(reader, KEEPER_TERM_MAX)) <= KEEPER_TERM_MAX);
		for (int i = 0; i < 4; i++)
			(void)wire_get_u32(reader);
		(void)wire_get_bytes(reader, KEEPER_MODES_MAX, &n);
		expect(n <= KEEPER_MODES_MAX);
		for (uint32_t left = wire_get_u32(reader); left && !reader->failed; left--)
			expect(strlen(wire_get_string(reader, KEEPER_ENVIRONMENT_BYTES)) <= KEEPER_ENVIRONMENT_BYTES);
		break;
	default:
		(void)wire_get_string(reader, WIRE_TEXT_MAX);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	uint32_t counts[WIRE_TYPES] = { 0 };
	WireHeader header;
	WireReader reader;

	if (n < 1 + sizeof(header))
		return 0;
	memcpy(&header, data + 1, sizeof(header));
	reader = (WireReader){ .at = data + 1 + sizeof(header), .left = n - 1 - sizeof(header) };
	header.length = (uint32_t)reader.left; /* wire_receive() has seen to that */
	if (!allow_message(1U << data[0] % 5, &header, 0, counts))
		return 0;
	expect(header.type > WIRE_NONE && header.type <= WIRE_TOLD);
	read_fields(header.type, &reader);
	if (reader.failed)
		expect(wire_get_u32(&reader) == 0 && !*wire_get_string(&reader, 10) && !wire_done(&reader));
	return 0;
}

/* SPDX-License-Identifier: MIT */
/*
 * The bounds are for a worker that an attacker owns. Before login it has two narrow oracles: one exchange hash signed
 * (and one more, should a client rekey before it logs in), and at most ALLOW_TRIES_MAX answers about keys. After login the
 * count of signatures is what a connection may need that carries 64 GiB and rekeys every megabyte.
 */
#include "sshd-sub/allow.h"

typedef struct Row {
	unsigned int states;  /* AllowState bits */
	uint32_t most_before; /* times before login */
	uint32_t most;        /* times in all */
	uint32_t min, max;    /* bytes of payload */
} Row;

static const Row rows[WIRE_TYPES] = {
	[WIRE_SIGN] = {
		.states = STATE_SELFTEST | STATE_FRESH | STATE_KEYED | STATE_ENTERED,
		.most_before = 2, .most = 65536,
		.min = WIRE_HASH_MIN, .max = WIRE_HASH_MAX,
	},
	[WIRE_QUERY] = {
		.states = STATE_SELFTEST | STATE_KEYED,
		.most_before = ALLOW_TRIES_MAX, .most = ALLOW_TRIES_MAX,
		.min = 8, .max = KEEPER_KEY_BLOB_MAX + KEEPER_USER_MAX + 16,
	},
	[WIRE_LOGIN] = {
		.states = STATE_SELFTEST | STATE_KEYED,
		.most_before = ALLOW_TRIES_MAX, .most = ALLOW_TRIES_MAX,
		.min = 8, .max = WIRE_SIGNED_DATA_MAX + WIRE_SIGNATURE_MAX + 16,
	},
	[WIRE_LOGIN_SK] = {
		.states = STATE_SELFTEST | STATE_KEYED,
		.most_before = ALLOW_TRIES_MAX, .most = ALLOW_TRIES_MAX,
		.min = 16, .max = KEEPER_KEY_BLOB_MAX + KEEPER_USER_MAX + WIRE_SK_DATA_SIZE + WIRE_SIGNATURE_MAX + 32,
	},
	[WIRE_CONNECT] = {
		.states = STATE_ENTERED, .most = UINT32_MAX,
		.min = 10, .max = KEEPER_HOST_MAX + 16,
	},
	[WIRE_START] = {
		.states = STATE_ENTERED, .most = UINT32_MAX,
		.min = 16, .max = WIRE_PAYLOAD_MAX,
	},
	[WIRE_SIGNAL] = {
		.states = STATE_ENTERED, .most = UINT32_MAX,
		.min = 6, .max = 64,
	},
	[WIRE_CLOSE] = {
		.states = STATE_ENTERED, .most = UINT32_MAX,
	},
	[WIRE_TOLD] = {
		.states = STATE_ENTERED, .most = UINT32_MAX,
	},
	[WIRE_BYE] = {
		.states = STATE_SELFTEST | STATE_FRESH | STATE_KEYED | STATE_ASKING | STATE_ENTERED,
		.most_before = 1, .most = 1,
		.min = 5, .max = WIRE_TEXT_MAX + 16,
	},
};

bool allow_message(AllowState state, const WireHeader *header, size_t n_fds, uint32_t *counts)
{
	const Row *row;

	if (header->type >= WIRE_TYPES || n_fds)
		return false;
	row = &rows[header->type];
	if (!(row->states & state))
		return false;
	if (header->length < row->min || header->length > row->max)
		return false;
	if (counts[header->type] >= (state == STATE_ENTERED ? row->most : row->most_before))
		return false;
	counts[header->type]++;
	return true;
}

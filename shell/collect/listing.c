/* SPDX-License-Identifier: MIT */
#include "shell/collect/listing.h"

#include <endian.h>
#include <string.h>

enum { AT_STATUS = 1, AT_NAME_N = 2, AT_NUMBER = 4, AT_DIGEST = 12 };

_Static_assert(AT_DIGEST + LISTING_DIGEST == LISTING_HEAD, "the head has another size");

size_t listing_write(const Listing *listing, uint8_t record[static LISTING_RECORD_MAX])
{
	size_t name_n = listing->name ? strlen(listing->name) : 0;
	uint16_t name_be = htobe16((uint16_t)name_n);
	uint64_t number_be = htobe64(listing->number);

	record[0] = (uint8_t)listing->type;
	record[AT_STATUS] = (uint8_t)listing->status;
	memcpy(record + AT_NAME_N, &name_be, sizeof(name_be));
	memcpy(record + AT_NUMBER, &number_be, sizeof(number_be));
	memcpy(record + AT_DIGEST, listing->digest, LISTING_DIGEST);
	memcpy(record + LISTING_HEAD, listing->name ? listing->name : "", name_n);
	return LISTING_HEAD + name_n;
}

static size_t name_length(const uint8_t *record)
{
	uint16_t name_be;

	memcpy(&name_be, record + AT_NAME_N, sizeof(name_be));
	return be16toh(name_be);
}

/* No way out of the folder: whoever joins it to the folder's path means a file in there. */
static bool name_valid(const char *name, size_t n)
{
	if (memchr(name, '\0', n))
		return false;
	for (const char *part = name;; part++) {
		size_t length = strcspn(part, "/");

		if (!length || (length == 1 && part[0] == '.') || (length == 2 && part[0] == '.' && part[1] == '.'))
			return false;
		part += length;
		if (!*part)
			return true;
	}
}

static bool digest_empty(const uint8_t *digest)
{
	for (size_t i = 0; i < LISTING_DIGEST; i++)
		if (digest[i])
			return false;
	return true;
}

static bool head_valid(const ListingReader *reader)
{
	const uint8_t *record = reader->record;
	size_t name_n = name_length(record);
	bool file = record[0] == LISTING_FILE, empty = digest_empty(record + AT_DIGEST);

	if (reader->ready == (record[0] == LISTING_READY) && record[0] != LISTING_FAILED)
		return false;
	if (file)
		return name_n && name_n < RUN_PATH_MAX && record[AT_STATUS] < RUN_FILE_STATUSES_N &&
		       reader->files < RUN_FILES_MAX && (record[AT_STATUS] == RUN_FILE_OK || empty);
	if (record[0] != LISTING_READY && record[0] != LISTING_END && record[0] != LISTING_FAILED)
		return false;
	return !name_n && !record[AT_STATUS] && empty;
}

/* Fills the record up to `size`; true: it is there. */
static bool fill(ListingReader *reader, const uint8_t **data, size_t *n, size_t size)
{
	size_t missing = size - reader->used, more = missing < *n ? missing : *n;

	memcpy(reader->record + reader->used, *data, more);
	reader->used += more;
	*data += more;
	*n -= more;
	return reader->used == size;
}

static void take(ListingReader *reader, size_t name_n, Listing *ret)
{
	uint64_t number_be;

	memcpy(&number_be, reader->record + AT_NUMBER, sizeof(number_be));
	*ret = (Listing){
		.type = reader->record[0],
		.status = reader->record[AT_STATUS],
		.number = be64toh(number_be),
		.name = name_n ? (const char *)reader->record + LISTING_HEAD : NULL,
	};
	memcpy(ret->digest, reader->record + AT_DIGEST, LISTING_DIGEST);
	reader->used = 0;
	reader->ready = true;
	reader->over = ret->type == LISTING_END || ret->type == LISTING_FAILED;
	reader->files += ret->type == LISTING_FILE;
}

int listing_read(ListingReader *reader, const uint8_t **data, size_t *n, Listing *ret)
{
	size_t name_n;

	if (!*n)
		return 0;
	if (reader->over)
		return -EBADMSG;
	if (reader->used < LISTING_HEAD && !fill(reader, data, n, LISTING_HEAD))
		return 0;
	if (!head_valid(reader))
		return -EBADMSG;
	name_n = name_length(reader->record);
	if (!fill(reader, data, n, LISTING_HEAD + name_n))
		return 0;
	/* what an earlier, longer record left there is no part of this name */
	reader->record[LISTING_HEAD + name_n] = '\0';
	if (name_n && !name_valid((const char *)reader->record + LISTING_HEAD, name_n))
		return -EBADMSG;
	take(reader, name_n, ret);
	return 1;
}

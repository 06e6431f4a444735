/* SPDX-License-Identifier: MIT */
/*
 * Records as an agent's process could write them to the keeper: the first byte says how many bytes come at a time. What is taken is what the
 * contract says, in its order, and written again it is the same.
 */
#include "shell/collect/listing.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void expect(bool condition)
{
	if (!condition)
		__builtin_trap();
}

static void check_name(const char *name)
{
	char padded[RUN_PATH_MAX + 2];

	expect(*name && strlen(name) < RUN_PATH_MAX);
	(void)snprintf(padded, sizeof(padded), "/%s/", name);
	expect(!strstr(padded, "//") && !strstr(padded, "/./") && !strstr(padded, "/../"));
}

static void check(const Listing *listing, size_t *files, bool *ready)
{
	static const uint8_t zeros[LISTING_DIGEST];
	uint8_t record[LISTING_RECORD_MAX];

	expect(*ready != (listing->type == LISTING_READY) || listing->type == LISTING_FAILED);
	*ready = true;
	if (listing->type == LISTING_FILE) {
		expect(++*files <= RUN_FILES_MAX && listing->status < RUN_FILE_STATUSES_N);
		check_name(listing->name);
	} else {
		expect(!listing->name);
	}
	if (listing->status != RUN_FILE_OK)
		expect(memcmp(listing->digest, zeros, sizeof(zeros)) == 0);
	expect(listing_write(listing, record) == LISTING_HEAD + (listing->name ? strlen(listing->name) : 0));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	ListingReader *reader = calloc(1, sizeof(*reader));
	bool ready = false, over = false;
	size_t files = 0, at_a_time;

	if (!reader || !n) {
		free(reader);
		return 0;
	}
	at_a_time = *data + 1U;
	for (data++, n--; n;) {
		size_t piece_n = n < at_a_time ? n : at_a_time;
		const uint8_t *piece = data;
		Listing listing;
		int r;

		data += piece_n;
		n -= piece_n;
		while ((r = listing_read(reader, &piece, &piece_n, &listing)) > 0) {
			expect(!over);
			check(&listing, &files, &ready);
			over = listing.type == LISTING_END || listing.type == LISTING_FAILED;
		}
		if (r < 0)
			break;
		expect(!piece_n);
	}
	free(reader);
	return 0;
}

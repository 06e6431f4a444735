/* SPDX-License-Identifier: MIT */
/*
 * What creel-collect tells the keeper, on a pipe: records of a fixed head and a name, all numbers big-endian.
 *
 *   type 1, status 1 (RunFileStatus), bytes of the name 2, number 8, SHA-256 32, name
 *
 *   R  ready: the folder is remembered                                 once, first
 *   F  a file: its status, size, digest (zeros unless RUN_FILE_OK)     at most RUN_FILES_MAX
 *   E  the end: number of files that are not listed                    last
 *   X  it failed: number is an errno                                   last
 *
 * The one who writes is the agent's process, so the reader believes nothing: it takes this and nothing else, in this order. Pure.
 */
#pragma once

#include "shell/bus/run.h"

#define LISTING_DIGEST 32U
#define LISTING_HEAD (1U + 1U + 2U + 8U + LISTING_DIGEST)
#define LISTING_RECORD_MAX (LISTING_HEAD + RUN_PATH_MAX - 1)

typedef enum ListingType {
	LISTING_READY = 'R',
	LISTING_FILE = 'F',
	LISTING_END = 'E',
	LISTING_FAILED = 'X'
} ListingType;

typedef struct Listing {
	ListingType type;
	RunFileStatus status;
	uint64_t number;
	uint8_t digest[LISTING_DIGEST];
	const char *name; /* of a file; relative to the folder, no `.` or `..` in it, any other bytes */
} Listing;

/* Returns the bytes of the record. `name` of a file is 1 to RUN_PATH_MAX - 1 bytes, of others NULL. */
size_t listing_write(const Listing *listing, uint8_t record[static LISTING_RECORD_MAX]);

typedef struct ListingReader {
	uint8_t record[LISTING_RECORD_MAX + 1];
	size_t used, files;
	bool ready, over;
} ListingReader;

/*
 * Takes from `*data` what belongs to the next record. 1: it is in `ret`, whose name is the reader's until the next call; 0: more is needed,
 * and all was taken; -EBADMSG: no such record can stand here. Nothing may follow the last one.
 */
_must_check_ int listing_read(ListingReader *reader, const uint8_t **data, size_t *n, Listing *ret);

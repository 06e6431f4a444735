/* SPDX-License-Identifier: MIT */
/* What a run put into the output folder, found and told. */
#pragma once

#include "shell/collect/listing.h"
#include "shell/collect/memory.h"

/* Time from collect() on, after which the rest is not listed; the keeper waits a little longer. */
#define COLLECT_USEC (UINT64_C(25) * 1000 * 1000)

typedef struct CollectRequest {
	int folder_fd;
	uint64_t max_bytes;    /* of one file that is given out */
	char *const *patterns; /* fnmatch(3), of names without their folders; NULL-terminated */
} CollectRequest;

/* Writes the records of the files that are news, and the end, to `file`. Returns 0 or a negative errno. */
_must_check_ int collect(const CollectRequest *request, const Memory *memory, FILE *file);

_must_check_ int collect_tell(FILE *file, const Listing *listing);

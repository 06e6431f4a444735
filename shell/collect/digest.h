/* SPDX-License-Identifier: MIT */
/* SHA-256 of a file that may change meanwhile. */
#pragma once

#include "shell/collect/listing.h"

#include <sys/stat.h>

/*
 * Reads `fd` from its beginning. `st` is what the file was when it was opened. Returns 0; 1: it was written to, its name or
 * mode changed, or its size is another; -ETIME: CLOCK_MONOTONIC passed `deadline_usec`; or read(2)'s errors, -ENOMEM.
 */
_must_check_ int digest_file(int fd, const struct stat *st, uint64_t deadline_usec, uint8_t ret[static LISTING_DIGEST]);

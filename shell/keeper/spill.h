/* SPDX-License-Identifier: MIT */
/*
 * Files for output that is too long for memory: ~/.creel/output/run-NUMBER.stdout and .stderr, the agent's own (mode 0600).
 *
 * They are made and written as the agent would: as its user, so that a link leads nowhere that it may not write, and without
 * CAP_SYS_RESOURCE, which would write past its quota. Folders are opened one after the other, never through a link.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/session/identity.h"

#include <stdint.h>

#define SPILL_FOLDER ".creel/output" /* in the home */
#define SPILL_FILES_MAX 200U         /* the newest; older ones are removed */

typedef struct Spill {
	const Identity *identity; /* borrowed */
	uint64_t most;            /* bytes of one file: the policy's limits.file_size */
	char name[48];            /* in the folder */
	char *path;               /* absolute; NULL until there is a file */
	int fd;
	uint64_t bytes;
} Spill;

/* Nothing is made before the first byte. */
void spill_init(Spill *spill, const Identity *identity, uint64_t most, const char *name);

/* Appends. -EDQUOT, -ENOSPC, -EFBIG (`most`), or open(2)'s and write(2)'s errors; what fits of it is written. */
_must_check_ int spill_write(Spill *spill, const void *bytes, size_t n);
void spill_done(Spill *spill);

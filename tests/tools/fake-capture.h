/* SPDX-License-Identifier: MIT */
/* What a run of fake-runs writes: kept in memory, given as the keeper gives it. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdint.h>

typedef struct Capture {
	char *bytes;
	size_t n, room;
} Capture;

void capture_add(Capture *capture, const void *bytes, size_t n);

/*
 * A memfd with at most `max` bytes of it, head and tail; what does not fit makes a file with all of it, at `path`, which is
 * "" else. Returns the descriptor.
 */
int capture_give(Capture *capture, uint64_t max, uint64_t *ret_head, char *path, size_t path_size, const char *name);
void capture_done(Capture *capture);

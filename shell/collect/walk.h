/* SPDX-License-Identifier: MIT */
/* The files of a folder and of the folders in it, by descriptor: no link is followed, no other file system entered. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#define WALK_DEPTH_MAX 8U /* folders within one another; what is deeper is not looked at */

typedef struct Walk {
	/* `path`: relative, good until it returns. What is no folder, or is none that can be walked. False: enough. */
	bool (*file)(void *userdata, const char *path, const struct stat *st);
	void *userdata;
	dev_t device;
	char path[WALK_DEPTH_MAX * 256 + 256];
	size_t path_n;
} Walk;

/* Never fails: what cannot be read is not there. `folder_fd` is borrowed. */
void walk(int folder_fd, bool (*file)(void *userdata, const char *path, const struct stat *st), void *userdata);

/*
 * Opens a file of the walk for reading, after it was found to be a regular one: nothing else is ever opened, whatever it
 * becomes meanwhile. Returns 0, -ELOOP or -ENOTDIR (a link on the way), -ENOTSUP (no regular file), or open(2)'s errors.
 */
_must_check_ int walk_open(int folder_fd, const char *path, int *ret_fd, struct stat *ret_st);

/* SPDX-License-Identifier: MIT */
/*
 * How much an agent sent and received in a calendar month (UTC): /var/lib/creel/transfer/UID, one file an agent, written by
 * creel-enforce each minute, when the machine goes down and before rules change; read by the keeper. Lines:
 *
 *   month YYYY-MM
 *   sent BYTES            of IP packets, without loopback
 *   received BYTES
 *   seen BOOT SENT RECEIVED   what the kernel's counts were then, in which run of the machine
 */
#pragma once

#include "shell/base/str.h"

#include <sys/types.h>
#include <time.h>

#define TRANSFER_DIR "/var/lib/creel/transfer"
#define TRANSFER_MONTH_SIZE 8
#define TRANSFER_BOOT_SIZE 40

typedef struct Transfer {
	char month[TRANSFER_MONTH_SIZE];
	uint64_t sent, received;
	char boot[TRANSFER_BOOT_SIZE];
	uint64_t seen_sent, seen_received;
} Transfer;

/* "2026-11", in UTC. */
void transfer_month(time_t now, char ret[static TRANSFER_MONTH_SIZE]);

/*
 * Reads it below `root` ("" for the system's). Returns 0, -ENOENT (nothing counted yet), -EBADMSG (not such a file), or
 * another negative errno; `ret` is untouched then.
 */
_must_check_ int transfer_read(const char *root, uid_t uid, Transfer *ret);

/* Replaces it; the folder must be there. Returns 0 or a negative errno. */
_must_check_ int transfer_write(const char *root, uid_t uid, const Transfer *transfer);

/* 0 also if there is none. */
_must_check_ int transfer_forget(const char *root, uid_t uid);

/*
 * Adds what the kernel counted since the last time; another month begins at nothing. Counts that went back, or of another
 * run of the machine, began at nothing, too.
 */
void transfer_add(Transfer *transfer, const char *month, const char *boot, uint64_t sent, uint64_t received);

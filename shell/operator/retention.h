/* SPDX-License-Identifier: MIT */
/* How long the record is kept, and in how much room: journald's settings, made of the policies. */
#pragma once

#include "shell/operator/operator.h"

#define RECORD_SIZE (UINT64_C(1) << 30) /* SystemMaxUse= of units/journald-creel.conf.in */

/* Behind creel's own file by its name, so that its settings hold. */
#define RETENTION_FOLDER "/etc/systemd/journald@creel.conf.d"
#define RETENTION_NAME "policy.conf"
#define RETENTION_FILE RETENTION_FOLDER "/" RETENTION_NAME

typedef struct RecordKept {
	uint64_t usec;   /* the longest that a policy asks for */
	uint64_t agents; /* that have a policy file */
	uint64_t wanted; /* bytes that they may write in that time */
	uint64_t
		size; /* bytes that the record gets of it: at least RECORD_SIZE, and then at most a tenth of the disk */
} RecordKept;

/* What follows from the policies below `root` ("": the machine's). Bad ones ask for nothing. */
void record_kept(const char *root, RecordKept *ret);

/* That needs no file. */
bool record_kept_as_shipped(const RecordKept *kept);

/* The content of RETENTION_FILE; NULL without memory. */
char *record_kept_text(const RecordKept *kept);

/*
 * Writes or removes RETENTION_FILE, and lets journald read it where it changed: what comes meanwhile waits in the socket. What failed is
 * told on stderr, and keeps nothing else from being done.
 */
void retention_apply(void);

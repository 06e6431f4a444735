/* SPDX-License-Identifier: MIT */
/*
 * The probe: what an agent needs and what it must not get, tried one by one. The tables in acts-*.c are the specification of
 * an agent's confinement; docs/PRIVILEGES.md says the same in prose, and is reviewed beside them.
 *
 * Each act runs in a child of its own, so that none changes what the next one meets.
 */
#pragma once

#include <errno.h>
#include <stddef.h>
#include <sys/types.h>

/* What acts are tried on: NAME=VALUE lines of the file that the probe is given. */
typedef struct Targets {
	uid_t other_uid;      /* another agent */
	char other_home[128]; /* its home */
	pid_t other_pid;      /* a process of its that leads a process group */
	pid_t keeper_pid;     /* our own keeper, root's */
	pid_t front_pid;      /* creel-sshd */
	char disk[64];        /* a block device */
	char files
		[128]; /* a folder of root's: setuid, setgid, filecaps (copies of the probe), shared (a file that all may
	                              write), open (a folder that all may write) */
	char docker[128];                /* a socket of the group docker */
	int port, port_first, port_last; /* of our range: a free one and the one after it, and the range's end */
	int port_outside;                /* not of it, above 1023, free */
	const char *self;                /* the probe's own path */
} Targets;

typedef enum Kind {
	NEEDED,    /* must succeed */
	FORBIDDEN, /* must fail with one of the errors */
} Kind;

#define ACT_ERRORS_MAX 4

typedef struct Act {
	const char *name;
	Kind kind;
	int errors[ACT_ERRORS_MAX];             /* of a forbidden act, each a right answer */
	int (*attempt)(const Targets *targets); /* 0 or a negative errno; in a child */
	const char *reason;
} Act;

/* Each ends with a row without a name. */
extern const Act acts_privilege[], acts_namespaces[], acts_kernel[], acts_process[], acts_resources[], acts_network[],
	acts_files[], acts_needed[], acts_needed_files[];

/* 0 or a negative errno from a call that returns -1 on failure. */
#define TRY(call) ((call) < 0 ? -errno : 0)

/* For what is worse than an errno: it went wrong in a way that no row expects. */
#define ODD (-EPROTO)

/* Opens and closes. */
int try_open(const char *path, int flags);
/* Runs a program; 0 when it exits with 0, -EPERM when it ends otherwise, -ENOENT and the like when it cannot be executed. */
int try_program(const char *const argv[]);
/* Writes `text` into an existing file. */
int try_write(const char *path, const char *text);
/* Value of "NAME:" in /proc/self/status as text; -ENODATA if it is not there. */
int status_get(const char *name, char *ret, size_t size);

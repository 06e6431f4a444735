/* SPDX-License-Identifier: MIT */
/*
 * What a service is: the program, where it runs, its port, and how one sees that it is healthy; and the unit file that says so. Pure.
 *
 * There is no other place where it is kept. How health is seen is in the comment that says who made the file, as the options
 * of creel service create.
 */
#pragma once

#include "shell/base/str.h"

#include <stdbool.h>
#include <stdint.h>

#define SERVICE_MARK "# made by creel service create"

typedef enum HealthKind {
	HEALTH_RUNNING, /* it has not ended */
	HEALTH_TCP,     /* it takes connections at its port */
	HEALTH_HTTP,    /* GET is answered with a status below 400 */
	HEALTH_LOG,     /* a line of its log matches */
} HealthKind;

typedef struct ServiceSpec {
	StrList command;     /* the first is an absolute path */
	char *directory;     /* absolute, or NULL */
	uint16_t port;       /* 0: none */
	StrList environment; /* NAME=VALUE, without PORT */
	const char *restart; /* "no", "on-failure", "always" */
	HealthKind health;
	char *health_text; /* the path; the extended regular expression; else NULL */
} ServiceSpec;

void service_spec_done(ServiceSpec *spec);
#define _cleanup_spec_ _cleanup_(service_spec_done)

/* One of the words above, which is static; NULL when it is none. */
const char *service_restart(const char *word);

/*
 * Can systemd hold it? Returns 0, or -EINVAL with the reason in `why`: bytes that are no UTF-8, control characters in a path or a
 * variable, a name that no variable has.
 */
_must_check_ int service_spec_check(const ServiceSpec *spec, char *why, size_t why_size);

/* The whole file of a service called `name`, or NULL when memory is out. */
_must_check_ char *service_spec_text(const ServiceSpec *spec, const char *name);

/*
 * What a file says, as far as it can be told; the caller ends `ret` with service_spec_done(). Returns 0 or -ENOMEM. `ret_own`: it bears
 * the mark. `ret_edited`: it is not what service_spec_text() would write.
 */
_must_check_ int service_spec_read(
	const char *text, const char *name, ServiceSpec *ret, bool *ret_own, bool *ret_edited);

/* What of a ServiceSpec was asked for. */
typedef struct ServiceChange {
	bool command, directory, port, restart, health;
	bool mark; /* it was written by a person, and is a service of creel's from now on */
} ServiceChange;

/* What was asked for, but for the command, becomes part of `spec`. Returns 0 or -ENOMEM. */
_must_check_ int service_spec_merge(ServiceSpec *spec, const ServiceSpec *more, const ServiceChange *change);

/*
 * `old` with the lines changed that say what was asked for, variables of spec->environment included; all others stay as they are.
 * NULL when memory is out.
 */
_must_check_ char *service_spec_change(const char *old, const ServiceSpec *spec, const ServiceChange *change);

/* SPDX-License-Identifier: MIT */
/* What a process belongs to, by its cgroup: agents can make cgroups below their user manager only, so the other names are not theirs. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define WHERE_NAME_MAX 256U

typedef enum WhereKind {
	WHERE_ELSEWHERE, /* none of the agent's places */
	WHERE_UNIT,      /* of the user manager; `name` is the unit's */
	WHERE_MANAGER,   /* the user manager itself */
	WHERE_SESSION,   /* a login; the keeper's id, or session-5 for a scope of logind's */
	WHERE_RUN,       /* `name` is its number */
	WHERE_REPL,      /* `name` is its own, behind its language and a slash: python/main */
	WHERE_KEPT,      /* it outlived the login that began it */
} WhereKind;

typedef struct Where {
	WhereKind kind;
	bool rescue; /* of a session: outside the slice, as that was full */
	char name[WHERE_NAME_MAX];
	size_t folder; /* bytes of `cgroup` until the end of the place's own folder; 0: it has none of its own */
} Where;

/* `cgroup` is the path behind the last colon of /proc/PID/cgroup. Pure. */
void where_parse(const char *cgroup, uid_t uid, Where *ret);

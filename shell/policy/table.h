/* SPDX-License-Identifier: MIT */
/* The key table: every key of a policy file, as data. The order of the rows is the order of the file and of
 * policy_row(). */
#pragma once

#include "shell/policy/policy.h"

#define POLICY_KEYS_MAX 96U /* more than the table has; bounds arrays indexed by row */

typedef enum KeyType {
	TYPE_PATH,  /* char *: absolute */
	TYPE_PLACE, /* char *: absolute, or relative to the agent's home */
	TYPE_NAME,  /* char *: a profile's name */
	TYPE_SIZE,  /* uint64_t bytes: K, M, G, T */
	TYPE_COUNT, /* uint64_t */
	TYPE_CORES, /* uint64_t microseconds a second */
	TYPE_TIME,  /* uint64_t microseconds: ms, s, m, h, d */
	TYPE_PORT,  /* uint16_t */
	TYPE_PORTS, /* PortList */
	TYPE_LIST,  /* StrList; `element` says of what */
	TYPE_WORD,  /* an enum: the index in `words`, plus `min` */
	TYPE_FLAG,  /* bool: the index in `words` */
} KeyType;

typedef enum ElementKind {
	ELEMENT_COMMAND,   /* a name that PATH finds, or an absolute path */
	ELEMENT_HOST,      /* a host name (a leading "*." matches all below it), or an address with an optional
			     /LENGTH */
	ELEMENT_PLACE,     /* absolute, or below the agent's home when it starts with ~/ */
	ELEMENT_PIP,       /* a package as pip names it, with versions */
	ELEMENT_NPM,       /* a package as npm names it, with a version, range or tag */
	ELEMENT_MODULE,    /* a Python module as import names it: dotted */
	ELEMENT_LANGUAGE,  /* one of python, javascript, typescript, bash */
	ELEMENT_PATTERN,   /* a file name pattern, no slash */
	ELEMENT_VARIABLE,  /* an environment variable's name, or its beginning with a * behind it */
	ELEMENT_SUBSYSTEM, /* NAME=PROGRAM [ARGUMENT ...]: PROGRAM absolute, separated by blanks */
	ELEMENT_MECHANISM, /* a row of mechanisms[] (shell/policy/enforced.h) */
	ELEMENT_OPENING,   /* PORT or FIRST-LAST, maybe /udp, maybe ` from ADDRESS` (shell/policy/opening.h) */
} ElementKind;

typedef enum KeyScope {
	SCOPE_ANY,    /* creel.conf, a profile, an agent's file */
	SCOPE_NAMER,  /* creel.conf and an agent's file: a profile names no profile */
	SCOPE_SYSTEM, /* creel.conf only */
} KeyScope;

typedef struct PolicyKey {
	const char *section, *key;
	KeyType type;
	ElementKind element;
	KeyScope scope;
	bool enforced;        /* by this version */
	bool unlimited;       /* `max` is allowed */
	bool own;             /* of TYPE_PORTS: the word `own` is allowed */
	size_t offset;        /* in Policy */
	uint64_t min, max;    /* of numbers, both included */
	const char *fallback; /* the built-in value, in the file's notation */
	const char *const *words;
} PolicyKey;

extern const PolicyKey policy_keys[];
extern const size_t policy_keys_n;

/* The row of a key, or -ENOENT. */
_must_check_ int policy_key_find(const char *section, const char *key, size_t *ret);

/*
 * For the person who mistyped: the closest section name, or the closest key of `section` (then of any
 * section). `ret_section` is the suggested key's. NULL when nothing is close.
 */
const char *policy_section_near(const char *section);
const char *policy_key_near(const char *section, const char *key, const char **ret_section);
bool policy_section_known(const char *section);

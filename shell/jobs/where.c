/* SPDX-License-Identifier: MIT */
#include "shell/jobs/where.h"
#include "shell/base/cleanup.h"

#include <stdio.h>
#include <string.h>

/* What follows `prefix` when that is a folder above `path`; NULL when not. */
static const char *below(const char *path, const char *prefix)
{
	size_t n = strlen(prefix);

	return strncmp(path, prefix, n) == 0 && path[n] == '/' ? path + n + 1 : NULL;
}

static bool ends_with(const char *s, size_t n, const char *suffix)
{
	size_t m = strlen(suffix);

	return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

static void set(Where *where, WhereKind kind, const char *name, size_t n)
{
	if (n == 0 || n >= sizeof(where->name))
		return;
	where->kind = kind;
	memcpy(where->name, name, n);
	where->name[n] = '\0';
}

/* The first folder that is no slice: units have no units below them. */
static void parse_unit(const char *rest, Where *ret)
{
	size_t n;

	for (;; rest += n + 1) {
		n = strcspn(rest, "/");
		if (!ends_with(rest, n, ".slice"))
			break;
		if (!rest[n])
			return;
	}
	set(ret, n == strlen("init.scope") && memcmp(rest, "init.scope", n) == 0 ? WHERE_MANAGER : WHERE_UNIT, rest, n);
}

static void parse_leaf(const char *rest, Where *ret)
{
	static const struct {
		const char *prefix;
		WhereKind kind;
	} leaves[] = { { "session-", WHERE_SESSION }, { "run-", WHERE_RUN }, { "repl-", WHERE_REPL } };
	size_t n = strcspn(rest, "/");

	if (n == strlen("kept") && memcmp(rest, "kept", n) == 0)
		ret->kind = WHERE_KEPT;
	for (size_t i = 0; i < ELEMENTSOF(leaves); i++) {
		size_t m = strlen(leaves[i].prefix);

		if (n > m && memcmp(rest, leaves[i].prefix, m) == 0)
			set(ret, leaves[i].kind, rest + m, n - m);
	}
	if (ret->kind == WHERE_REPL) {
		char *dash = strchr(ret->name, '-');

		if (dash)
			*dash = '/';
		else
			ret->kind = WHERE_ELSEWHERE;
	}
}

void where_parse(const char *cgroup, uid_t uid, Where *ret)
{
	unsigned int id = (unsigned int)uid;
	const char *rest;
	char prefix[128];

	*ret = (Where){ .kind = WHERE_ELSEWHERE };
	(void)snprintf(prefix, sizeof(prefix), "/user.slice/user-%u.slice/user@%u.service", id, id);
	rest = below(cgroup, prefix);
	if (rest) {
		parse_unit(rest, ret);
		return;
	}
	(void)snprintf(prefix, sizeof(prefix), "/user.slice/user-%u.slice/creel-leaves@%u.service", id, id);
	rest = below(cgroup, prefix);
	if (rest) {
		parse_leaf(rest, ret);
		ret->folder = (size_t)(rest - cgroup) + strcspn(rest, "/");
		return;
	}
	(void)snprintf(prefix, sizeof(prefix), "/creel.slice/creel-rescue@%u.service", id);
	rest = below(cgroup, prefix);
	if (rest) {
		parse_leaf(rest, ret);
		ret->rescue = ret->kind == WHERE_SESSION;
		return;
	}
	(void)snprintf(prefix, sizeof(prefix), "/user.slice/user-%u.slice", id);
	rest = below(cgroup, prefix);
	if (rest && strncmp(rest, "session-", strlen("session-")) == 0) {
		size_t n = strcspn(rest, "/");

		if (ends_with(rest, n, ".scope"))
			set(ret, WHERE_SESSION, rest, n - strlen(".scope"));
	}
}

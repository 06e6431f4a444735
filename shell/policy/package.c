/* SPDX-License-Identifier: MIT */
/*
 * pip takes what it was told by variables before what files tell it, and npm as well; so they need no file of the machine's
 * own, which the operator may have, for a mirror, and which stays in force.
 *
 * `no`, pip: a constraint that pip cannot read, whose text is the reason. It stops every kind of installation in the same
 * words, one from a file as well. `no`, npm: its registry has the reason as its name, and npm is told to be offline, so that
 * it does not wait for an answer to that name.
 */
#include "shell/policy/package.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#define NPM_REFUSED "npm_config_registry=https://npm_install-is-no-in-the-policy.invalid/"
#define NAME_MAX_BYTES 128U

PackageMode package_mode(const Policy *policy, PackageKind kind)
{
	return kind == PACKAGE_PYTHON ? policy->pip_install : policy->npm_install;
}

const StrList *package_list(const Policy *policy, PackageKind kind)
{
	return kind == PACKAGE_PYTHON ? &policy->pip_packages : &policy->npm_packages;
}

static size_t span(const char *text, const char *extra)
{
	size_t n = 0;

	while (text[n] && (isalnum((unsigned char)text[n]) || strchr(extra, text[n])))
		n++;
	return n;
}

static size_t blanks(const char *text)
{
	return strspn(text, " \t");
}

/* ---- pip: the parts of PEP 508 that name a version ---- */

static size_t operator_length(const char *text)
{
	/* the longer ones first */
	static const char *const operators[] = { "===", "==", "!=", "<=", ">=", "~=", "<", ">" };

	for (size_t i = 0; i < ELEMENTSOF(operators); i++)
		if (strncmp(text, operators[i], strlen(operators[i])) == 0)
			return strlen(operators[i]);
	return 0;
}

/* NAME[EXTRA], 0 where it is none. */
static size_t pip_name(const char *text)
{
	size_t n = span(text, "._-"), extra;

	if (!n || n > NAME_MAX_BYTES || !isalnum((unsigned char)*text) || !isalnum((unsigned char)text[n - 1]))
		return 0;
	if (text[n] != '[')
		return n;
	extra = span(text + n + 1, "._-");
	return extra && text[n + 1 + extra] == ']' ? n + extra + 2 : 0;
}

/* Writes the requirement to `file` (NULL: only looks). */
static bool requirement_walk(const char *text, FILE *file)
{
	size_t n = pip_name(text);
	bool first = true;

	if (!n)
		return false;
	if (file)
		(void)fprintf(file, "%.*s", (int)n, text);
	for (text += n, text += blanks(text); *text; text += blanks(text), first = false) {
		size_t operator_n = operator_length(text), version_n;

		if (!operator_n)
			return false;
		if (file)
			(void)fprintf(file, "%s%.*s", first ? "" : ",", (int)operator_n, text);
		text += operator_n;
		text += blanks(text);
		version_n = span(text, ".*+!_-");
		if (!version_n)
			return false;
		if (file)
			(void)fprintf(file, "%.*s", (int)version_n, text);
		text += version_n;
	}
	return true;
}

bool package_pip_valid(const char *text)
{
	return requirement_walk(text, NULL);
}

char *package_requirement(const char *text)
{
	_cleanup_free_ char *out = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&out, &size);
	bool whole;

	if (!file)
		return NULL;
	whole = requirement_walk(text, file) && !ferror(file);
	return fclose(file) == 0 && whole ? TAKE_PTR(out) : NULL;
}

/* ---- npm: no paths, addresses of git or of files, no other package's name behind an alias ---- */

static size_t npm_name(const char *text)
{
	size_t n = span(text, "._-~");

	return n && n <= NAME_MAX_BYTES && isalnum((unsigned char)*text) ? n : 0;
}

bool package_npm_valid(const char *text)
{
	size_t n;

	if (*text == '@') {
		n = npm_name(text + 1);
		if (!n || text[1 + n] != '/')
			return false;
		text += n + 2;
	}
	n = npm_name(text);
	if (!n)
		return false;
	text += n;
	if (!*text)
		return true;
	if (*text++ != '@' || !*text || *text == '-' || blanks(text))
		return false;
	return text[span(text, ".^~<>=*| +-")] == '\0';
}

/* ---- hosts ---- */

static const char *const python_registries[] = { "pypi.org", "*.pypi.org", "pypi.python.org", "pythonhosted.org",
	"*.pythonhosted.org", NULL };
static const char *const javascript_registries[] = { "npmjs.org", "*.npmjs.org", "npmjs.com", "*.npmjs.com",
	"registry.yarnpkg.com", NULL };

typedef struct Range {
	int family; /* 0: a name */
	unsigned char address[16];
	unsigned int length, full;
} Range;

static Range range_of(const char *host)
{
	Range range = { 0 };
	size_t n = strcspn(host, "/");
	uint64_t length;
	char head[64];

	if (n >= sizeof(head))
		return range;
	memcpy(head, host, n);
	head[n] = '\0';
	if (inet_pton(AF_INET, head, range.address) == 1) {
		range.family = AF_INET;
		range.full = 32;
	} else if (inet_pton(AF_INET6, head, range.address) == 1) {
		range.family = AF_INET6;
		range.full = 128;
	}
	range.length = range.full;
	if (host[n] && str_to_u64(host + n + 1, range.full, &length) == 0)
		range.length = (unsigned int)length;
	return range;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, unsigned int bits)
{
	if (memcmp(a, b, bits / 8) != 0)
		return false;
	return bits % 8 == 0 || (a[bits / 8] ^ b[bits / 8]) >> (8 - bits % 8) == 0;
}

static bool below(const char *name, const char *domain)
{
	size_t n = strlen(name), domain_n = strlen(domain);

	return n > domain_n && name[n - domain_n - 1] == '.' && strcasecmp(name + n - domain_n, domain) == 0;
}

/* Something may be meant by both. */
static bool hosts_meet(const char *a, const char *b)
{
	Range x = range_of(a), y = range_of(b);
	bool all_a = strncmp(a, "*.", 2) == 0, all_b = strncmp(b, "*.", 2) == 0;

	if (x.family || y.family)
		return x.family == y.family &&
		       same_bits(x.address, y.address, x.length < y.length ? x.length : y.length);
	a += all_a ? 2 : 0;
	b += all_b ? 2 : 0;
	if (strcasecmp(a, b) == 0)
		return all_a == all_b;
	return (all_a && below(b, a)) || (all_b && below(a, b));
}

/* Nobody can say what is at each of its addresses. One address was looked up by who wrote it. */
static bool is_public_range(const char *host)
{
	static const char *const own[] = { "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8",
		"100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10" };
	Range range = range_of(host);

	if (!range.family || range.length == range.full)
		return false;
	for (size_t i = 0; i < ELEMENTSOF(own); i++) {
		Range around = range_of(own[i]);

		if (around.family == range.family && around.length <= range.length &&
			same_bits(around.address, range.address, around.length))
			return false;
	}
	return true;
}

const char *package_registry(const Policy *policy, PackageKind kind)
{
	const char *const *registries = kind == PACKAGE_PYTHON ? python_registries : javascript_registries;
	const StrList *mirrors = kind == PACKAGE_PYTHON ? &policy->pip_mirrors : &policy->npm_mirrors;

	for (size_t i = 0; i < policy->allowed_hosts.n; i++) {
		const char *host = policy->allowed_hosts.items[i];

		if (is_public_range(host))
			return host;
		for (size_t k = 0; registries[k]; k++)
			if (hosts_meet(host, registries[k]))
				return host;
		for (size_t k = 0; k < mirrors->n; k++)
			if (hosts_meet(host, mirrors->items[k]))
				return host;
	}
	return NULL;
}

/* ---- the shelf ---- */

/* FNV-1a, 64 bits: told apart must be lists, not attacks; they are the operator's. */
static uint64_t list_stamp(const StrList *list)
{
	uint64_t stamp = UINT64_C(14695981039346656037);

	for (size_t i = 0; i < list->n; i++)
		for (const char *c = list->items[i];; c++) {
			stamp = (stamp ^ (unsigned char)*c) * UINT64_C(1099511628211);
			if (!*c)
				break;
		}
	return stamp;
}

char *package_shelf(const Policy *policy, PackageKind kind)
{
	return str_format("%s/%s/%s-%016llx", PACKAGE_SHELF_DIR, policy->name,
		kind == PACKAGE_PYTHON ? "python" : "npm", (unsigned long long)list_stamp(package_list(policy, kind)));
}

/* ---- what pip and npm are told ---- */

static int add_all(StrList *list, const char *const texts[])
{
	int r = 0;

	for (size_t i = 0; texts[i] && !r; i++)
		r = strlist_add(list, texts[i]);
	return r;
}

static int pip_environment(const Policy *policy, StrList *list)
{
	static const char *const no[] = { "PIP_CONSTRAINT=" PACKAGE_CONSTRAINT, "PIP_NO_INDEX=1", NULL };
	_cleanup_free_ char *shelf = NULL;
	int r;

	/* The system's Python is the distribution's, and pip would speak of that first; what it installs goes into the home. */
	r = strlist_add(list, "PIP_BREAK_SYSTEM_PACKAGES=1");
	if (r < 0 || policy->pip_install == PACKAGES_YES)
		return r;
	if (policy->pip_install == PACKAGES_NO)
		return add_all(list, no);
	r = strlist_add(list, "PIP_NO_INDEX=1");
	if (r < 0)
		return r;
	shelf = package_shelf(policy, PACKAGE_PYTHON);
	return strlist_push(list, shelf ? str_format("PIP_FIND_LINKS=%s", shelf) : NULL);
}

static int npm_environment(const Policy *policy, StrList *list)
{
	static const char *const quiet[] = { "npm_config_offline=true", "npm_config_update_notifier=false",
		"npm_config_audit=false", "npm_config_fund=false", NULL };
	int r;

	if (policy->npm_install == PACKAGES_YES)
		return 0;
	r = add_all(list, quiet);
	/* with an allowlist the registry stays: npm finds in its cache what came from there */
	if (!r && policy->npm_install == PACKAGES_NO)
		r = strlist_add(list, NPM_REFUSED);
	return r;
}

int package_environment(const Policy *policy, StrList *list)
{
	int r = pip_environment(policy, list);

	return r < 0 ? r : npm_environment(policy, list);
}

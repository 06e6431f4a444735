/* SPDX-License-Identifier: MIT */
/*
 * Why lower values that were not asked for: `memory = 128M` alone in an agent's file must not fail because of
 * a run's built-in memory, and making that run's limit stricter harms nobody. Raising one would: it would
 * loosen what another file set.
 */
#include "shell/policy/check.h"
#include "shell/policy/opening.h"
#include "shell/policy/package.h"
#include "shell/policy/value.h"

#include <stdarg.h>
#include <string.h>

typedef struct Check {
	Policy *policy;
	const unsigned char *rank;
	PolicyError *ret_error;
} Check;

/* A row that the table must have: names are literals of this file, and the unit test walks all rules. */
static size_t row_of(const char *section, const char *key)
{
	size_t row = 0;

	if (policy_key_find(section, key, &row) < 0)
		abort();
	return row;
}

static int contradiction(Check *check, size_t row, const char *format, ...) _printf_(3, 4);

static int contradiction(Check *check, size_t row, const char *format, ...)
{
	char reason[384];
	va_list ap;

	va_start(ap, format);
	(void)vsnprintf(reason, sizeof(reason), format, ap);
	va_end(ap);
	(void)snprintf(check->ret_error->text, sizeof(check->ret_error->text), "%s: [%s] %s: %s",
		check->policy->origins[row], policy_keys[row].section, policy_keys[row].key, reason);
	return -EBADMSG;
}

/* ---- at most ---- */

typedef struct Bound {
	const char *section, *key;             /* this value ... */
	const char *upper_section, *upper_key; /* ... may be at most that one */
} Bound;

static const Bound bounds[] = {
	{ "limits", "processes", "limits", "tasks" },
	{ "limits", "session_memory", "limits", "memory" },
	{ "limits", "session_tasks", "limits", "tasks" },
	{ "limits", "session_cpu", "limits", "cpu" },
	{ "limits", "file_size", "limits", "disk" },
	{ "exec", "timeout", "exec", "max_timeout" },
	{ "exec", "memory", "limits", "memory" },
	{ "exec", "cpu", "limits", "cpu" },
	{ "exec", "processes", "limits", "processes" },
	{ "exec", "scratch", "limits", "memory" }, /* the pages of the scratch file system count as memory */
	{ "exec", "scratch", "exec", "memory" },
	{ "output", "max_file_size", "limits", "file_size" },
};

static uint64_t *number_at(Policy *policy, size_t row)
{
	return (uint64_t *)((char *)policy + policy_keys[row].offset);
}

static int lowered(Check *check, size_t row, size_t upper)
{
	char **origin = &check->policy->origins[row];
	char *text = str_format("%s, lowered to [%s] %s", *origin, policy_keys[upper].section, policy_keys[upper].key);

	if (!text)
		return -ENOMEM;
	free(*origin);
	*origin = text;
	return 0;
}

static int bound_check(Check *check, const Bound *bound)
{
	size_t row = row_of(bound->section, bound->key);
	size_t upper = row_of(bound->upper_section, bound->upper_key);
	uint64_t *value = number_at(check->policy, row), limit = *number_at(check->policy, upper);
	_cleanup_free_ char *value_text = NULL, *limit_text = NULL;

	/* `max` claims nothing: the upper value holds anyway */
	if (*value == POLICY_UNLIMITED || *value <= limit)
		return 0;
	if (check->rank[row] < check->rank[upper]) {
		*value = limit;
		return lowered(check, row, upper);
	}
	value_text = value_format(&policy_keys[row], check->policy);
	limit_text = value_format(&policy_keys[upper], check->policy);
	if (!value_text || !limit_text)
		return -ENOMEM;
	return contradiction(check, row, "%s is more than [%s] %s = %s (%s)", value_text, bound->upper_section,
		bound->upper_key, limit_text, check->policy->origins[upper]);
}

/* ---- lists that exclude each other ---- */

typedef struct Pair {
	const char *section, *key;
	const char *other_section, *other_key;
} Pair;

static const Pair exclusive[] = {
	{ "commands", "allow", "commands", "deny" },
	{ "exec", "bash_allow", "exec", "bash_deny" },
	{ "files", "write", "files", "read_only" },
	{ "files", "write", "files", "hidden" },
	{ "files", "read_only", "files", "hidden" },
};

static const StrList *list_at(const Policy *policy, size_t row)
{
	return (const StrList *)((const char *)policy + policy_keys[row].offset);
}

static int pair_check(Check *check, const Pair *pair)
{
	size_t row = row_of(pair->section, pair->key), other = row_of(pair->other_section, pair->other_key);
	const StrList *list = list_at(check->policy, row), *refused = list_at(check->policy, other);
	char shown[96];

	for (size_t i = 0; i < list->n; i++)
		if (strlist_contains(refused, list->items[i]))
			return contradiction(check, row, "`%s` is also in [%s] %s (%s)",
				str_quote(list->items[i], strlen(list->items[i]), shown, sizeof(shown)),
				pair->other_section, pair->other_key, check->policy->origins[other]);
	return 0;
}

/* ---- the rest ---- */

static int ports_check(Check *check)
{
	const Policy *policy = check->policy;
	size_t port = row_of("front", "operator_port"), listen = row_of("ports", "listen");

	if (policy->operator_port == 22)
		return contradiction(check, port, "port 22 is the agents' front");
	if (port_list_contains(&policy->listen, policy->operator_port)) {
		/* the machine's port is older news than an agent's range, unless creel.conf moved it into the
		 * defaults */
		if (check->rank[listen] < check->rank[port])
			return contradiction(check, port, "port %u is in [ports] listen (%s): agents could bind it",
				policy->operator_port, policy->origins[listen]);
		return contradiction(check, listen, "port %u is the operator's ([front] operator_port, %s)",
			policy->operator_port, policy->origins[port]);
	}
	return 0;
}

/* Ports that others may reach are an agent's or the operator's, and nobody's twice. */
static int opening_check(Check *check, const char *text)
{
	const Policy *policy = check->policy;
	size_t row = row_of("network", "operator_ports"), listen = row_of("ports", "listen");
	Opening opening;

	if (opening_parse(text, &opening))
		return -EBADMSG;
	if (!opening.udp && opening.first <= 22 && opening.last >= 22)
		return contradiction(check, row, "port 22 is the agents' front, and open");
	if (!opening.udp && opening.first <= policy->operator_port && opening.last >= policy->operator_port)
		return contradiction(check, row, "port %u is OpenSSH's, and open ([front] operator_port, %s)",
			policy->operator_port, policy->origins[row_of("front", "operator_port")]);
	for (size_t i = 0; i < policy->listen.n; i++) {
		PortRange agents = policy->listen.ranges[i];
		unsigned port = agents.first > opening.first ? agents.first : opening.first;

		if (opening.last < agents.first || opening.first > agents.last)
			continue;
		if (check->rank[listen] < check->rank[row])
			return contradiction(check, row, "port %u is in [ports] listen (%s): agents could bind it",
				port, policy->origins[listen]);
		return contradiction(check, listen, "port %u is the operator's ([network] operator_ports, %s)", port,
			policy->origins[row]);
	}
	return 0;
}

static int openings_check(Check *check)
{
	const StrList *openings = &check->policy->operator_ports;
	int r = 0;

	for (size_t i = 0; r == 0 && i < openings->n; i++)
		r = opening_check(check, openings->items[i]);
	return r;
}

static int network_check(Check *check)
{
	const Policy *policy = check->policy;
	size_t mode = row_of("network", "mode"), hosts = row_of("network", "allowed_hosts");
	size_t exec = row_of("exec", "network");

	/* the later word is the stricter one */
	if (policy->exec_network < policy->network) {
		if (check->rank[exec] >= check->rank[mode])
			return contradiction(check, exec, "`%s` is more than [network] mode = %s (%s)",
				policy_keys[exec].words[policy->exec_network], policy_keys[mode].words[policy->network],
				policy->origins[mode]);
		check->policy->exec_network = policy->network;
		if (lowered(check, exec, mode) < 0)
			return -ENOMEM;
	}
	if (policy->network == NETWORK_RESTRICTED && !policy->allowed_hosts.n)
		return contradiction(check, mode, "restricted needs [network] allowed_hosts");
	if (policy->exec_network == NETWORK_RESTRICTED && !policy->allowed_hosts.n)
		return contradiction(check, exec, "restricted needs [network] allowed_hosts");
	if (policy->network != NETWORK_RESTRICTED && policy->exec_network != NETWORK_RESTRICTED &&
		policy->allowed_hosts.n && check->rank[hosts] >= check->rank[mode])
		return contradiction(check, hosts, "it restricts nothing while [network] mode = %s (%s)",
			policy_keys[mode].words[policy->network], policy->origins[mode]);
	return 0;
}

/* ---- packages ---- */

/* `full` reaches every registry, by any of its addresses and through whatever else is in the network. */
static int reach_check(Check *check, size_t install, const char *word)
{
	const Policy *policy = check->policy;
	size_t mode = row_of("network", "mode");

	if (policy->network != NETWORK_FULL)
		return 0;
	if (check->rank[mode] > check->rank[install])
		return contradiction(check, mode,
			"`full` reaches what [%s] %s = %s (%s) keeps away: set restricted or none, or %s = yes",
			policy_keys[install].section, policy_keys[install].key, word, policy->origins[install],
			policy_keys[install].key);
	return contradiction(check, install,
		"`%s` cannot hold while [network] mode = full (%s): set restricted or none there, or yes here", word,
		policy->origins[mode]);
}

static int registry_check(Check *check, size_t install, const char *word, PackageKind kind)
{
	const Policy *policy = check->policy;
	size_t hosts = row_of("network", "allowed_hosts");
	const char *host = policy->network == NETWORK_RESTRICTED ? package_registry(policy, kind) : NULL;
	char shown[128];

	if (!host)
		return 0;
	(void)str_quote(host, strlen(host), shown, sizeof(shown));
	if (check->rank[hosts] >= check->rank[install])
		return contradiction(check, hosts,
			"packages can be had from `%s`, and [%s] %s = %s (%s) lets none come from there: take it out, "
			"or set %s = yes",
			shown, policy_keys[install].section, policy_keys[install].key, word, policy->origins[install],
			policy_keys[install].key);
	return contradiction(check, install,
		"`%s` cannot hold while [network] allowed_hosts has `%s` (%s), from where packages can be had: take it "
		"out there, or set yes here",
		word, shown, policy->origins[hosts]);
}

static int packages_check(Check *check, PackageKind kind)
{
	const char *section = kind == PACKAGE_PYTHON ? "python" : "javascript";
	const char *mode_key = kind == PACKAGE_PYTHON ? "pip_install" : "npm_install";
	size_t packages = row_of(section, "packages"), install = row_of(section, mode_key);
	PackageMode mode = package_mode(check->policy, kind);
	size_t n = package_list(check->policy, kind)->n;
	int r;

	if (mode == PACKAGES_ALLOWLIST && !n)
		return contradiction(check, install, "allowlist needs [%s] packages", section);
	if (mode != PACKAGES_ALLOWLIST && n && check->rank[packages] >= check->rank[install])
		return contradiction(check, packages, "it allows nothing while [%s] %s is not allowlist (%s)", section,
			mode_key, check->policy->origins[install]);
	if (mode == PACKAGES_YES)
		return 0;
	r = reach_check(check, install, policy_keys[install].words[mode]);
	return r < 0 ? r : registry_check(check, install, policy_keys[install].words[mode], kind);
}

/* ---- places: those that can be compared without knowing the agent's home ---- */

static bool place_within(const char *place, const char *tree)
{
	size_t n = strlen(tree);

	return strncmp(place, tree, n) == 0 && (place[n] == '\0' || place[n] == '/' || n == 1);
}

/*
 * Landlock gives a folder what it gives to all beneath it: what lies in a place that the agent may write cannot be taken
 * from it. The places that every agent may write can be taken away as a whole.
 */
static int stricter_check(Check *check, const char *key)
{
	static const char *const always[] = { "~", "/tmp", "/var/tmp", "/dev/shm", "/run/screen" };
	const Policy *policy = check->policy;
	size_t row = row_of("files", key);
	const StrList *places = list_at(policy, row);

	for (size_t i = 0; i < places->n; i++) {
		const char *place = places->items[i], *tree = NULL;

		if (strcmp(place, "/") == 0 && places == &policy->files_hidden)
			return contradiction(check, row, "`/` would leave nothing");
		for (size_t k = 0; k < ELEMENTSOF(always); k++)
			if (strcmp(place, always[k]) != 0 && place_within(place, always[k]) &&
				!strlist_contains(&policy->files_read_only, always[k]) &&
				!strlist_contains(&policy->files_hidden, always[k]))
				tree = always[k];
		for (size_t k = 0; k < policy->files_write.n; k++)
			if (place_within(place, policy->files_write.items[k]))
				tree = policy->files_write.items[k];
		if (tree)
			return contradiction(check, row,
				"`%s` is in `%s`, which the agent may write: this cannot be enforced there", place,
				tree);
	}
	return 0;
}

/*
 * What is one for all agents cannot be an agent's own: whoever makes the folder first would keep it from the others, or read
 * what they leave there. An independent run has these to itself, so it may see the agent's folder there.
 */
static int output_check(Check *check)
{
	static const char *const shared[] = { "/tmp", "/var/tmp", "/dev/shm" };
	const Policy *policy = check->policy;
	size_t dir = row_of("output", "dir"), seen = row_of("output", "seen_as");

	for (size_t k = 0; k < ELEMENTSOF(shared); k++)
		if (place_within(policy->output_dir, shared[k]))
			return contradiction(check, dir,
				"`%s` is in %s, which all agents share: name a folder of the agent's own, and that "
				"one in [output] seen_as",
				policy->output_dir, shared[k]);
	for (size_t i = 0; i < policy->output_seen_as.n; i++) {
		const char *place = policy->output_seen_as.items[i];
		bool within = false;

		for (size_t k = 0; k < ELEMENTSOF(shared); k++)
			within = within || (place_within(place, shared[k]) && strcmp(place, shared[k]) != 0);
		if (!within)
			return contradiction(check, seen, "`%s` is in none of /tmp, /var/tmp and /dev/shm", place);
	}
	return 0;
}

int policy_check(Policy *policy, const unsigned char rank[], PolicyError *ret_error)
{
	Check check = { .policy = policy, .rank = rank, .ret_error = ret_error };
	int r;

	for (size_t i = 0; i < ELEMENTSOF(bounds); i++) {
		r = bound_check(&check, &bounds[i]);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < ELEMENTSOF(exclusive); i++) {
		r = pair_check(&check, &exclusive[i]);
		if (r < 0)
			return r;
	}
	r = stricter_check(&check, "read_only");
	if (!r)
		r = stricter_check(&check, "hidden");
	if (r < 0)
		return r;
	r = ports_check(&check);
	if (r < 0)
		return r;
	r = openings_check(&check);
	if (r < 0)
		return r;
	r = network_check(&check);
	if (r < 0)
		return r;
	r = output_check(&check);
	for (PackageKind kind = 0; kind < PACKAGE_KINDS_N && r == 0; kind++)
		r = packages_check(&check, kind);
	return r;
}

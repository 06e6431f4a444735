/* SPDX-License-Identifier: MIT */
/*
 * The layers are read bottom up into one struct: built-in values, then creel.conf behind its profile, then
 * the agent's file behind its profile. Contradictions are judged once, on the effective values, because a
 * value that is wrong below another file's value may be right above it.
 */
#include "shell/policy/policy.h"
#include "shell/policy/check.h"
#include "shell/policy/source.h"
#include "shell/policy/table.h"
#include "shell/policy/value.h"

#include <string.h>

bool policy_name_valid(const char *name)
{
	size_t n = 0;

	if (!name || !((*name >= 'a' && *name <= 'z') || *name == '_'))
		return false;
	for (; name[n]; n++) {
		char c = name[n];

		if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_' || c == '-') || n >= POLICY_NAME_MAX)
			return false;
	}
	return true;
}

bool port_list_contains(const PortList *ports, uint16_t port)
{
	for (size_t i = 0; i < ports->n; i++)
		if (port >= ports->ranges[i].first && port <= ports->ranges[i].last)
			return true;
	return false;
}

Policy *policy_free(Policy *policy)
{
	if (!policy)
		return NULL;
	for (size_t i = 0; i < policy_keys_n; i++) {
		value_done(&policy_keys[i], policy);
		if (policy->origins)
			free(policy->origins[i]);
	}
	free(policy->origins);
	free(policy->name);
	free(policy);
	return NULL;
}

typedef struct Load {
	const char *root;
	Policy *policy;
	unsigned char rank[POLICY_KEYS_MAX];
	PolicyError *ret_error;
} Load;

static int load_value(Load *load, size_t row, const char *text, const char *label, unsigned line, PolicyRank rank)
{
	const PolicyKey *key = &policy_keys[row];
	_cleanup_free_ char *origin = NULL;
	char reason[256] = "";
	int r;

	r = value_parse(key, text, load->policy, reason, sizeof(reason));
	if (r < 0)
		return policy_error_set(load->ret_error, r == -EINVAL ? -EBADMSG : r, label, line, "[%s] %s: %s",
			key->section, key->key, *reason ? reason : strerror(-r));
	origin = line ? str_format("%s:%u", label, line) : strdup(label);
	if (!origin || str_set(&load->policy->origins[row], origin) < 0)
		return policy_error_set(load->ret_error, -ENOMEM, label, line, "%s", strerror(ENOMEM));
	load->rank[row] = (unsigned char)rank;
	return 0;
}

static int load_source(Load *load, const PolicySource *source, PolicyRank rank)
{
	int r;

	for (size_t i = 0; i < policy_keys_n; i++) {
		if (!source->text[i])
			continue;
		r = load_value(load, i, source->text[i], source->label, source->line[i], rank);
		if (r < 0)
			return r;
	}
	return 0;
}

/* `origin`: the file and row that name the profile, for the message when it is missing. */
static int load_profile(Load *load, const PolicySource *origin, size_t row, PolicyRank rank)
{
	_cleanup_(policy_source_done) PolicySource source = { 0 };
	_cleanup_free_ char *label = str_format("%s/%s.conf", POLICY_PROFILE_DIR, origin->text[row]);
	int r;

	if (!label)
		return policy_error_set(load->ret_error, -ENOMEM, origin->label, 0, "%s", strerror(ENOMEM));
	r = policy_source_read(&source, SOURCE_PROFILE, load->root, label, load->ret_error);
	if (r == -ENOENT)
		return policy_error_set(load->ret_error, -EBADMSG, origin->label, origin->line[row],
			"[agent] profile: there is no profile `%s` (%s)", origin->text[row], label);
	if (r < 0)
		return r;
	return load_source(load, &source, rank);
}

static int load_file(Load *load, const PolicySource *source, PolicyRank profile_rank, PolicyRank rank)
{
	size_t row = 0;
	int r;

	r = policy_key_find("agent", "profile", &row);
	if (r < 0)
		return r;
	if (source->text[row]) {
		r = load_profile(load, source, row, profile_rank);
		if (r < 0)
			return r;
	}
	return load_source(load, source, rank);
}

static int load_built_in(Load *load)
{
	int r;

	for (size_t i = 0; i < policy_keys_n; i++) {
		r = load_value(load, i, policy_keys[i].fallback, "built-in", 0, RANK_BUILT_IN);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Reads one file of the system, or the text that stands for it. -ENOENT only for a missing file. */
static int load_read(Load *load, PolicySource *source, SourceKind kind, const char *label, const PolicyText *instead)
{
	if (instead)
		return policy_source_parse(source, kind, instead->label, instead->text, instead->n, load->ret_error);
	return policy_source_read(source, kind, load->root, label, load->ret_error);
}

int policy_load_text(const char *root, const char *name, const PolicyText *system, const PolicyText *agent,
	Policy **ret, PolicyError *ret_error)
{
	_cleanup_(policy_source_done) PolicySource system_source = { 0 }, agent_source = { 0 };
	_cleanup_(policy_freep) Policy *policy = NULL;
	Load load = { .root = root, .ret_error = ret_error };
	int r;

	if (name && !policy_name_valid(name)) {
		char shown[64];

		return policy_error_set(ret_error, -EINVAL, "agent", 0, "`%s` is not a name for an agent",
			str_quote(name, strlen(name), shown, sizeof(shown)));
	}

	policy = calloc(1, sizeof(*policy));
	if (policy)
		policy->origins = calloc(policy_keys_n + 1, sizeof(char *));
	if (policy && name)
		policy->name = strdup(name);
	if (!policy || !policy->origins || (name && !policy->name))
		return policy_error_set(ret_error, -ENOMEM, "policy", 0, "%s", strerror(ENOMEM));
	load.policy = policy;

	r = load_built_in(&load);
	if (r < 0)
		return r;

	r = load_read(&load, &system_source, SOURCE_SYSTEM, POLICY_DIR "/creel.conf", system);
	if (r < 0 && r != -ENOENT)
		return r;
	if (r == 0) {
		r = load_file(&load, &system_source, RANK_SYSTEM_PROFILE, RANK_SYSTEM);
		if (r < 0)
			return r;
	}

	if (name) {
		_cleanup_free_ char *label = str_format("%s/agents/%s.conf", POLICY_DIR, name);

		if (!label)
			return policy_error_set(ret_error, -ENOMEM, "policy", 0, "%s", strerror(ENOMEM));
		r = load_read(&load, &agent_source, SOURCE_AGENT, label, agent);
		if (r < 0)
			return r;
		r = load_file(&load, &agent_source, RANK_AGENT_PROFILE, RANK_AGENT);
		if (r < 0)
			return r;
	}

	r = policy_check(policy, load.rank, ret_error);
	if (r == -ENOMEM)
		return policy_error_set(ret_error, r, "policy", 0, "%s", strerror(ENOMEM));
	if (r < 0)
		return r;
	ret_error->text[0] = '\0';
	*ret = TAKE_PTR(policy);
	return 0;
}

int policy_load(const char *root, const char *name, Policy **ret, PolicyError *ret_error)
{
	return policy_load_text(root, name, NULL, NULL, ret, ret_error);
}

bool policy_row(const Policy *policy, size_t index, const char **ret_section, const char **ret_key, char **ret_value,
	const char **ret_origin, bool *ret_enforced)
{
	if (index >= policy_keys_n)
		return false;
	*ret_section = policy_keys[index].section;
	*ret_key = policy_keys[index].key;
	*ret_value = value_format(&policy_keys[index], policy);
	*ret_origin = policy->origins[index];
	*ret_enforced = policy_keys[index].enforced;
	return true;
}

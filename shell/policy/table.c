/* SPDX-License-Identifier: MIT */
/*
 * The built-in values are the profile `instaclaw`: a small machine of one's own. What the seed of that
 * profile leaves open (a run's memory, sessions) has no limit of its own here, so that the agent's totals
 * decide.
 *
 * limits.tasks bounds threads and is a backstop; limits.processes is what people count (shell/enforce/processes.bpf.c).
 * Where the kernel cannot count them, its task count stands in for them, and the smaller of the two is set
 * (units/agent-units.c).
 */
#include "shell/policy/table.h"

#include <stddef.h>
#include <string.h>

#define AT(member) .offset = offsetof(Policy, member)
#define KEY(s, k) .section = s, .key = k
#define K (UINT64_C(1) << 10)
#define M (UINT64_C(1) << 20)
#define G (UINT64_C(1) << 30)
#define T (UINT64_C(1) << 40)
#define SECOND UINT64_C(1000000)
#define DAY (86400 * SECOND)

static const char *const words_flag[] = { "no", "yes", NULL };
static const char *const words_keys[] = { "home", "policy", "both", NULL };
static const char *const words_network[] = { "full", "restricted", "none", NULL };
static const char *const words_packages[] = { "no", "yes", "allowlist", NULL };
static const char *const words_programs[] = { "no", "interactive", "all", NULL };
static const char *const words_action[] = { "errno", "kill", NULL };
static const char *const words_filesystem[] = { "shared", "independent", NULL };

#define SIZE(member, low, high, value) .type = TYPE_SIZE, AT(member), .min = low, .max = high, .fallback = value
#define COUNT(member, low, high, value) .type = TYPE_COUNT, AT(member), .min = low, .max = high, .fallback = value
#define CORES(member, value) .type = TYPE_CORES, AT(member), .min = 10000, .max = 1024 * SECOND, .fallback = value
#define TIME(member, low, high, value) .type = TYPE_TIME, AT(member), .min = low, .max = high, .fallback = value
#define LIST(member, kind, value) .type = TYPE_LIST, AT(member), .element = kind, .fallback = value
#define FLAG(member, value) .type = TYPE_FLAG, AT(member), .words = words_flag, .fallback = value
#define WORD(member, list, value) .type = TYPE_WORD, AT(member), .words = list, .fallback = value

const PolicyKey policy_keys[] = {
	{ KEY("agent", "profile"), .type = TYPE_NAME, AT(profile), .fallback = "instaclaw", .scope = SCOPE_NAMER,
		.enforced = true },
	{ KEY("agent", "shell"), .type = TYPE_PATH, AT(shell), .fallback = "/bin/bash", .enforced = true },
	{ KEY("agent", "workspace"), .type = TYPE_PLACE, AT(workspace), .fallback = "workspace", .enforced = true },
	{ KEY("agent", "keys"), WORD(keys, words_keys, "home"), .min = KEYS_HOME, .enforced = true },

	{ KEY("agent", "environment"),
		LIST(environment, ELEMENT_VARIABLE, "LANG, LC_*, TZ, COLORTERM, NO_COLOR, GIT_PROTOCOL"),
		.enforced = true },
	{ KEY("agent", "subsystems"),
		LIST(subsystems, ELEMENT_SUBSYSTEM,
			"sftp=/usr/lib/openssh/sftp-server, exec=/usr/bin/creel exec-server, mcp=/usr/bin/creel mcp"),
		.enforced = true },
	{ KEY("agent", "optional"), LIST(optional, ELEMENT_MECHANISM, ""), .enforced = true },

	{ KEY("limits", "memory"), SIZE(memory, 32 * M, 64 * T, "2G"), .unlimited = true, .enforced = true },
	{ KEY("limits", "swap"), SIZE(swap, 0, 64 * T, "0"), .unlimited = true, .enforced = true },
	{ KEY("limits", "processes"), COUNT(processes, 8, 4000000, "50"), .unlimited = true, .enforced = true },
	{ KEY("limits", "tasks"), COUNT(tasks, 8, 4000000, "1024"), .unlimited = true, .enforced = true },
	{ KEY("limits", "cpu"), CORES(cpu, "2"), .unlimited = true, .enforced = true },
	{ KEY("limits", "io_weight"), COUNT(io_weight, 1, 10000, "100"), .enforced = true },
	{ KEY("limits", "disk"), SIZE(disk, 16 * M, 64 * T, "40G"), .unlimited = true, .enforced = true },
	{ KEY("limits", "file_size"), SIZE(file_size, 1 * M, 64 * T, "500M"), .unlimited = true, .enforced = true },
	{ KEY("limits", "open_files"), COUNT(open_files, 64, 1048576, "16384"), .enforced = true },
	{ KEY("limits", "sessions"), COUNT(sessions, 1, 4096, "128"), .enforced = true },
	{ KEY("limits", "session_memory"), SIZE(session_memory, 16 * M, 64 * T, "max"), .unlimited = true,
		.enforced = true },
	{ KEY("limits", "session_tasks"), COUNT(session_tasks, 4, 4000000, "max"), .unlimited = true,
		.enforced = true },
	{ KEY("limits", "session_cpu"), CORES(session_cpu, "max"), .unlimited = true, .enforced = true },

	{ KEY("ports", "listen"), .type = TYPE_PORTS, AT(listen), .min = 1024, .max = 65535, .fallback = "3000-9000",
		.enforced = true },
	{ KEY("ports", "forward"), .type = TYPE_PORTS, AT(forward), .min = 1, .max = 65535, .own = true,
		.fallback = "3000-9000", .enforced = true },

	{ KEY("network", "mode"), WORD(network, words_network, "full"), .enforced = true },
	{ KEY("network", "allowed_hosts"), LIST(allowed_hosts, ELEMENT_HOST, ""), .enforced = true },
	{ KEY("network", "max_bandwidth"), SIZE(max_bandwidth, 16 * K, 8 * G, "max"), .unlimited = true,
		.enforced = true },

	{ KEY("network", "operator_ports"), LIST(operator_ports, ELEMENT_OPENING, ""), .scope = SCOPE_SYSTEM,
		.enforced = true },

	{ KEY("commands", "allow"), LIST(commands_allow, ELEMENT_COMMAND, ""), .enforced = true },
	{ KEY("commands", "deny"), LIST(commands_deny, ELEMENT_COMMAND, ""), .enforced = true },

	{ KEY("files", "write"), LIST(files_write, ELEMENT_PLACE, ""), .enforced = true },
	{ KEY("files", "read_only"), LIST(files_read_only, ELEMENT_PLACE, ""), .enforced = true },
	{ KEY("files", "hidden"), LIST(files_hidden, ELEMENT_PLACE, ""), .enforced = true },

	{ KEY("calls", "action"), .type = TYPE_FLAG, AT(calls_kill), .words = words_action, .fallback = "errno",
		.enforced = true },

	{ KEY("front", "operator_port"), .type = TYPE_PORT, AT(operator_port), .min = 1, .max = 65535,
		.fallback = "2222", .scope = SCOPE_SYSTEM, .enforced = true },
	{ KEY("front", "unauthenticated"), COUNT(unauthenticated, 8, 4096, "64"), .scope = SCOPE_SYSTEM,
		.enforced = true },
	{ KEY("front", "grace"), TIME(grace_usec, 5 * SECOND, 600 * SECOND, "20s"), .scope = SCOPE_SYSTEM,
		.enforced = true },

	{ KEY("front", "keepalive"), TIME(keepalive_usec, SECOND, DAY, "60s"), .unlimited = true, .scope = SCOPE_SYSTEM,
		.enforced = true },
	{ KEY("front", "keepalive_count"), COUNT(keepalive_count, 1, 100, "5"), .scope = SCOPE_SYSTEM,
		.enforced = true },
	{ KEY("front", "rekey"), SIZE(rekey, 1 * M, 64 * T, "max"), .unlimited = true, .scope = SCOPE_SYSTEM,
		.enforced = true },
	{ KEY("front", "older_clients"), FLAG(older_clients, "no"), .scope = SCOPE_SYSTEM, .enforced = true },

	{ KEY("metrics", "textfile"), .type = TYPE_PATH, AT(metrics_textfile),
		.fallback = "/var/lib/prometheus/node-exporter", .scope = SCOPE_SYSTEM, .enforced = true },

	{ KEY("exec", "bash_allow"), LIST(bash_allow, ELEMENT_COMMAND, ""), .enforced = true },
	{ KEY("exec", "bash_deny"), LIST(bash_deny, ELEMENT_COMMAND, ""), .enforced = true },
	{ KEY("exec", "timeout"), TIME(exec_timeout_usec, SECOND / 10, DAY, "30s"), .enforced = true },
	{ KEY("exec", "max_timeout"), TIME(exec_max_timeout_usec, SECOND / 10, 7 * DAY, "120s"), .enforced = true },
	{ KEY("exec", "memory"), SIZE(exec_memory, 16 * M, 64 * T, "max"), .unlimited = true, .enforced = true },
	{ KEY("exec", "cpu"), CORES(exec_cpu, "max"), .unlimited = true, .enforced = true },
	{ KEY("exec", "processes"), COUNT(exec_processes, 1, 4000000, "max"), .unlimited = true, .enforced = true },
	{ KEY("exec", "output"), SIZE(exec_output, 1 * K, 1 * G, "1M"), .enforced = true },
	{ KEY("exec", "filesystem"), .type = TYPE_FLAG, AT(exec_independent), .words = words_filesystem,
		.fallback = "shared", .enforced = true },
	{ KEY("exec", "scratch"), SIZE(exec_scratch, 1 * M, 1 * T, "64M"), .enforced = true },
	{ KEY("exec", "network"), WORD(exec_network, words_network, "full"), .enforced = true },
	{ KEY("exec", "languages"), LIST(languages, ELEMENT_LANGUAGE, "python, javascript, typescript, bash"),
		.enforced = true },

	{ KEY("python", "interpreter"), .type = TYPE_PATH, AT(python), .fallback = "/usr/bin/python3",
		.enforced = true },
	{ KEY("python", "pip_install"), WORD(pip_install, words_packages, "yes"), .enforced = true },
	{ KEY("python", "packages"), LIST(pip_packages, ELEMENT_PIP, ""), .enforced = true },
	{ KEY("python", "mirrors"), LIST(pip_mirrors, ELEMENT_HOST, ""), .enforced = true },
	{ KEY("python", "preload"), LIST(preload, ELEMENT_MODULE, ""), .enforced = true },

	{ KEY("javascript", "interpreter"), .type = TYPE_PATH, AT(node), .fallback = "/usr/bin/node",
		.enforced = true },
	{ KEY("javascript", "npm_install"), WORD(npm_install, words_packages, "yes"), .enforced = true },
	{ KEY("javascript", "packages"), LIST(npm_packages, ELEMENT_NPM, ""), .enforced = true },
	{ KEY("javascript", "mirrors"), LIST(npm_mirrors, ELEMENT_HOST, ""), .enforced = true },
	{ KEY("javascript", "es_modules"), FLAG(es_modules, "yes"), .enforced = true },

	{ KEY("repl", "idle"), TIME(repl_idle_usec, SECOND, 30 * DAY, "5m"), .unlimited = true, .enforced = true },
	{ KEY("repl", "max_duration"), TIME(repl_max_duration_usec, SECOND, 365 * DAY, "600s"), .unlimited = true,
		.enforced = true },
	{ KEY("repl", "sessions"), COUNT(repl_sessions, 0, 256, "4"), .enforced = true },

	{ KEY("output", "dir"), .type = TYPE_PLACE, AT(output_dir), .fallback = "workspace/output", .enforced = true },
	{ KEY("output", "seen_as"), LIST(output_seen_as, ELEMENT_PLACE, ""), .enforced = true },
	{ KEY("output", "types"), LIST(output_types, ELEMENT_PATTERN, "*"), .enforced = true },
	{ KEY("output", "max_file_size"), SIZE(output_max_file_size, 1 * K, 64 * T, "500M"), .unlimited = true,
		.enforced = true },

	{ KEY("audit", "enabled"), FLAG(audit, "yes"), .enforced = true },
	{ KEY("audit", "code"), FLAG(audit_code, "yes"), .enforced = true },
	{ KEY("audit", "output"), FLAG(audit_output, "yes"), .enforced = true },
	{ KEY("audit", "programs"), WORD(audit_programs, words_programs, "interactive"), .enforced = true },
	{ KEY("audit", "terminals"), FLAG(audit_terminals, "no"), .enforced = true },
	{ KEY("audit", "terminals_room"), SIZE(audit_terminals_room, 1 * M, 1 * T, "256M"), .enforced = true },
	{ KEY("audit", "retention"), TIME(audit_retention_usec, DAY, 3650 * DAY, "30d"), .enforced = true },
};

const size_t policy_keys_n = ELEMENTSOF(policy_keys);

_Static_assert(ELEMENTSOF(policy_keys) <= POLICY_KEYS_MAX, "POLICY_KEYS_MAX is too small");
_Static_assert(sizeof(NetworkMode) == sizeof(unsigned) && sizeof(PackageMode) == sizeof(unsigned) &&
		       sizeof(ProgramsMode) == sizeof(unsigned) && sizeof(KeySource) == sizeof(unsigned),
	"TYPE_WORD is stored as an unsigned");

int policy_key_find(const char *section, const char *key, size_t *ret)
{
	for (size_t i = 0; i < policy_keys_n; i++)
		if (strcmp(policy_keys[i].section, section) == 0 && strcmp(policy_keys[i].key, key) == 0) {
			*ret = i;
			return 0;
		}
	return -ENOENT;
}

bool policy_section_known(const char *section)
{
	for (size_t i = 0; i < policy_keys_n; i++)
		if (strcmp(policy_keys[i].section, section) == 0)
			return true;
	return false;
}

#define NEAR_MAX 32U /* longer words are not compared: no key is that long */

static size_t min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Edits (insert, delete, replace, swap of neighbours) from one word to another; SIZE_MAX for long ones. */
static size_t word_distance(const char *a, const char *b)
{
	size_t d[NEAR_MAX + 1][NEAR_MAX + 1];
	size_t n = strlen(a), m = strlen(b);

	if (n > NEAR_MAX || m > NEAR_MAX)
		return SIZE_MAX;
	for (size_t i = 0; i <= n; i++)
		d[i][0] = i;
	for (size_t j = 0; j <= m; j++)
		d[0][j] = j;
	for (size_t i = 1; i <= n; i++)
		for (size_t j = 1; j <= m; j++) {
			d[i][j] = min_of(d[i - 1][j] + 1, d[i][j - 1] + 1);
			d[i][j] = min_of(d[i][j], d[i - 1][j - 1] + (a[i - 1] != b[j - 1]));
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				d[i][j] = min_of(d[i][j], d[i - 2][j - 2] + 1);
		}
	return d[n][m];
}

/* A third of the word may be wrong: `memroy` is close to `memory`, `colour` is close to nothing. */
static size_t near_limit(const char *word)
{
	size_t n = strlen(word) / 3;

	return n ? n : 1;
}

const char *policy_section_near(const char *section)
{
	size_t best = near_limit(section) + 1;
	const char *found = NULL;

	for (size_t i = 0; i < policy_keys_n; i++) {
		size_t d = word_distance(section, policy_keys[i].section);

		if (d < best) {
			best = d;
			found = policy_keys[i].section;
		}
	}
	return found;
}

const char *policy_key_near(const char *section, const char *key, const char **ret_section)
{
	size_t best = SIZE_MAX;
	const PolicyKey *found = NULL;

	for (size_t i = 0; i < policy_keys_n; i++) {
		bool here = strcmp(policy_keys[i].section, section) == 0;
		size_t d = word_distance(key, policy_keys[i].key);

		/* a key of another section must be spelled right to be suggested, and one of this section
		 * wins */
		if (d > (here ? near_limit(key) : 0))
			continue;
		if (2 * d + !here < best) {
			best = 2 * d + !here;
			found = &policy_keys[i];
		}
	}
	if (!found)
		return NULL;
	*ret_section = found->section;
	return found->key;
}

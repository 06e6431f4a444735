/* SPDX-License-Identifier: MIT */
/*
 * A policy: what one agent may do. Loaded once, never changed afterwards.
 *
 * Sources, later ones win: built-in defaults (profile instaclaw), /etc/creel/creel.conf,
 * /etc/creel/agents/NAME.conf. A file that names `profile = P` is preceded by
 * /usr/share/creel/profiles/P.conf at that point.
 *
 * File format: INI as read by inih, UTF-8. Sizes in bytes with K, M, G, T (powers of 1024) or `max`; times
 * with ms, s, m, h, d; CPU in cores (0.5); ports as ranges (3000-9000,9100); lists comma-separated; yes/no.
 * See creel.conf(5), which names every key, its unit, range and default.
 */
#pragma once

#include "shell/base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define POLICY_DIR "/etc/creel"
#define POLICY_PROFILE_DIR CREEL_DATADIR "/profiles" /* /usr/share/creel/profiles */
#define POLICY_UNLIMITED UINT64_MAX                  /* `max`: no limit of creel's own */
#define POLICY_SUBSYSTEM_NAME_MAX 64U
#define POLICY_SUBSYSTEM_WORDS_MAX 8U /* the program and its arguments */
/*
 * Above what the system's services have, so that the kernel's choice under memory shortage is an agent's process; set by
 * root, which makes it the least that the agent can ever set (proc(5)).
 */
#define AGENT_OOM_SCORE_ADJUST 300
#define POLICY_NAME_MAX 32U /* bytes of an agent's name, as useradd(8) */

typedef enum ProgramsMode { PROGRAMS_NONE, PROGRAMS_INTERACTIVE, PROGRAMS_ALL } ProgramsMode;

typedef enum KeySource { KEYS_HOME = 1, KEYS_POLICY = 2, KEYS_BOTH = 3 } KeySource;
typedef enum NetworkMode { NETWORK_FULL, NETWORK_RESTRICTED, NETWORK_NONE } NetworkMode;
typedef enum PackageMode { PACKAGES_NO, PACKAGES_YES, PACKAGES_ALLOWLIST } PackageMode;

typedef struct PortRange {
	uint16_t first, last;
} PortRange;

#define POLICY_PORT_RANGES_MAX 32U /* apart from each other; as many as the kernel's side holds */

typedef struct PortList {
	PortRange *ranges;
	size_t n;
	bool own; /* and those that the agent itself listens on */
} PortList;

typedef struct Policy {
	char *name; /* the agent's; NULL for the defaults alone */

	/* [agent] */
	char *profile;
	char *shell;     /* absolute path of the login shell */
	char *workspace; /* relative to home or absolute */
	KeySource keys;
	StrList environment; /* names of variables that a client may set; a * at the end matches any rest */
	StrList subsystems;  /* "NAME=PROGRAM ARGUMENT ..." */
	StrList optional;    /* mechanisms (shell/policy/enforced.h) without which logins are accepted all the same */

	/* [limits]: bytes, counts; POLICY_UNLIMITED allowed */
	uint64_t memory, swap, processes, tasks;
	uint64_t cpu; /* microseconds of CPU time a second: 0.5 cores = 500000 */
	uint64_t io_weight;
	uint64_t disk, file_size, open_files;
	uint64_t sessions;                                   /* logins at a time */
	uint64_t session_memory, session_tasks, session_cpu; /* of one login */

	/* [ports] */
	PortList listen, forward;

	/* [network] */
	NetworkMode network;
	StrList allowed_hosts;
	uint64_t max_bandwidth; /* bytes a second */
	StrList operator_ports; /* only creel.conf may set it: shell/policy/opening.h */

	/* [commands] */
	StrList commands_allow, commands_deny;

	/* [files] */
	StrList files_write, files_read_only, files_hidden;

	/* [calls] */
	bool calls_kill; /* a refused system call ends the process instead of failing with EPERM */

	/* [front]: only creel.conf may set these */
	uint16_t operator_port;
	uint64_t unauthenticated; /* connections that have not logged in yet, at a time */
	uint64_t grace_usec;      /* to log in */
	uint64_t keepalive_usec;  /* silence of a client before it is asked; POLICY_UNLIMITED: never */
	uint64_t keepalive_count; /* unanswered: it is gone */
	uint64_t rekey;           /* bytes; POLICY_UNLIMITED: when the cipher needs it */
	bool older_clients;       /* offer MACs of before encrypt-then-MAC too */

	/* [metrics]: only creel.conf may set it */
	char *metrics_textfile; /* the node exporter's folder */

	/* [exec] */
	StrList bash_allow, bash_deny, languages;
	uint64_t exec_timeout_usec, exec_max_timeout_usec, exec_memory, exec_cpu, exec_processes, exec_output,
		exec_scratch;
	bool exec_independent;
	NetworkMode exec_network;

	/* [python] [javascript] */
	char *python, *node;
	PackageMode pip_install, npm_install;
	StrList pip_packages, npm_packages, preload;
	StrList pip_mirrors, npm_mirrors; /* hosts that have packages as well as the registries that everybody uses */
	bool es_modules;

	/* [repl] */
	uint64_t repl_idle_usec, repl_max_duration_usec, repl_sessions;

	/* [output] */
	char *output_dir;
	StrList output_seen_as; /* where independent runs see it besides, absolute */
	StrList output_types;
	uint64_t output_max_file_size;

	/* [audit] */
	bool audit, audit_code, audit_output, audit_terminals;
	ProgramsMode audit_programs; /* which executions go into the record */
	uint64_t audit_retention_usec, audit_terminals_room;

	/* where each key's value came from: one string a row of the key table ("built-in", "FILE:LINE", maybe
	 * ", lowered to ...") */
	char **origins;
} Policy;

/* What was wrong with a policy: the first error only. `text` is ready for a person: FILE:LINE: [section] key:
 * reason. */
typedef struct PolicyError {
	char text[512];
} PolicyError;

/*
 * Loads the policy of agent `name` (NULL: the defaults alone) from the folders below `root` ("" for the
 * system's, another path for tests and for checking before a change). `name` is checked before a path is made
 * of it (-EINVAL). Returns 0; -EBADMSG with `ret_error` filled when a file is bad; -ENOENT when the agent has
 * no file; other negative errnos when a file cannot be read (`ret_error` says which). `ret` is untouched on
 * failure.
 */
_must_check_ int policy_load(const char *root, const char *name, Policy **ret, PolicyError *ret_error);

/*
 * A number that changes when creel.conf, the agent's file or a profile was changed, made or removed: for those who hold a
 * policy for long and must not miss an edit. To be taken before policy_load(). One lstat(2) a file, never fails.
 */
uint64_t policy_stamp(const char *root, const char *name);

/* A candidate for a policy file, for checking before a change; `label` names it in messages. Nothing is
 * copied or kept. */
typedef struct PolicyText {
	const char *label, *text;
	size_t n;
} PolicyText;

/* As policy_load(), with a text in place of creel.conf and/or of the agent's file (NULL: the file itself). */
_must_check_ int policy_load_text(const char *root, const char *name, const PolicyText *system, const PolicyText *agent,
	Policy **ret, PolicyError *ret_error);

/* Accepts NULL. Returns NULL. */
Policy *policy_free(Policy *policy);
DEFINE_CLEANUP(Policy, policy_free)

/* One key whose effective value became another. Values are new memory; the rest is borrowed of the two policies and the table. */
typedef struct PolicyChange {
	const char *section, *key;
	char *was, *is;
	const char *was_origin, *origin;
} PolicyChange;

/* In the order of the table. Returns 0 or -ENOMEM. */
_must_check_ int policy_difference(const Policy *before, const Policy *after, PolicyChange **ret, size_t *ret_n);
void policy_changes_free(PolicyChange *changes, size_t n);

/*
 * Walks the key table in file order: `index` from 0 until false. Names and text are valid until the policy is
 * freed; `ret_value` is new memory (the effective value in the file's own notation; NULL when memory is out).
 * `ret_enforced` is false for keys that this version reads and checks but does not enforce yet.
 */
bool policy_row(const Policy *policy, size_t index, const char **ret_section, const char **ret_key, char **ret_value,
	const char **ret_origin, bool *ret_enforced);

/* Names of agents and profiles: [a-z_][a-z0-9_-]*, at most POLICY_NAME_MAX bytes. */
bool policy_name_valid(const char *name);

/* `port` lies in one of the ranges; `own` is not looked at. */
bool port_list_contains(const PortList *ports, uint16_t port);

/* SPDX-License-Identifier: MIT */
/*
 * Births with surroundings: each test gives birth to a shell as the keeper would, as another user, and looks at what it saw
 * and at what is left. Only root can, with a cgroup tree (v2) to be born in.
 */
#pragma once

#include "tests/unit/unit.h"

#include "shell/run/birth.h"

#define AGENT 60123U
#define MIB (UINT64_C(1) << 20)

/* A folder of root's, while the tests run, the agent's home in it, and its output folder. */
extern char root[];
extern char home[64], output[96];

int birth_setup(void **state);
int birth_teardown(void **state);
/* Skips the test where it cannot be run. */
void needs_root(void);

/* Runs a command of this process's; it must end well. */
void shell(const char *format, ...) _printf_(1, 2);
/* An agent's policy of these lines. The caller frees. */
Policy *policy_of(const char *lines);

typedef struct Asked {
	const char *policy;
	bool view, own_network, closed_doors, bash;
	uint64_t scratch; /* 0: plenty */
	const char *directory;
	int third_fd;
	bool copy_third;
	int interrupt; /* milliseconds until SIGINT is sent; 0: never */
} Asked;

typedef struct Seen {
	char text[8192]; /* stdout and stderr */
	int code, status;
	bool full;
} Seen;

/* Runs `script` to the end of its leaf; as bash, so that `narrower` can be tried. */
Seen run(const Asked *asked, const char *script);

/* Script: the descriptors that the shell has. */
#define OPEN "for fd in /proc/$$/fd/*; do test -e $fd && echo -n \"${fd##*/} \"; done"

/* A view, and nothing else. */
extern const Asked independent;

#define assert_ran(seen, expected)                                                               \
	do {                                                                                     \
		if ((seen).code != CLD_EXITED || (seen).status != 0)                             \
			fail_msg("ended by %d %d: %s", (seen).code, (seen).status, (seen).text); \
		assert_string_equal((seen).text, (expected));                                    \
	} while (0)

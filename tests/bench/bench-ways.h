/* SPDX-License-Identifier: MIT */
/* Ways to execute code, each once; what bench-runs.c takes the time of. All return a negative errno, with a sentence in `why`. */
#pragma once

#include "shell/bus/run.h"

#include <pwd.h>

typedef struct Bench {
	const struct passwd *user; /* borrowed */
	sd_bus *bus;               /* to that user's keeper */
	pid_t loop;                /* a Python that reads lines of code from a pipe */
	int loop_in, loop_out;
	char why[256];
} Bench;

/* As root. */
_must_check_ int bench_open(Bench *bench, const struct passwd *user);
void bench_done(Bench *bench);

uint64_t bench_now(void); /* microseconds */
void bench_tell(const char *name, const uint64_t *times, size_t n);

/* Forks, executes and waits, in an environment that has what systemd-run needs. It must exit with 0. */
_must_check_ int bench_spawn(Bench *bench, const char *const *argv, bool agent);
/* Has the keeper run it. It must end well. */
_must_check_ int bench_run(Bench *bench, const RunOptions *options, const char *code);
/* `n` of them, begun one behind the other without waiting; the time of each from its beginning to its end. */
_must_check_ int bench_runs_at_once(
	Bench *bench, const RunOptions *options, const char *code, size_t n, uint64_t *ret_times);
/* Until no processor of the machine has had much to do for a moment, or some seconds passed. */
void bench_settle(const Bench *bench);
/* The bare pipe: one line there, one back. */
_must_check_ int bench_loop(Bench *bench, const char *code);
/* `rounds` times a call over a connection that is open, and as often one with all that it takes to have it. */
_must_check_ int bench_mcp(Bench *bench, unsigned int rounds, uint64_t *ret_calls, uint64_t *ret_connections);

/* SPDX-License-Identifier: MIT */
/*
 * The processes of one user, as /proc tells them to that user. Of what another login of the same agent runs, /proc keeps
 * descriptors, environment and program to itself (Landlock domains side by side); the rest is there.
 */
#pragma once

#include "shell/base/cleanup.h"
#include "shell/jobs/where.h"

#include <stddef.h>
#include <stdint.h>

#define PROCESS_COMMAND_MAX 4096U

typedef struct Process {
	pid_t pid, parent;
	char state;             /* R, S, D, T, Z as in proc(5) */
	bool terminal;          /* it has one */
	uint64_t cpu_usec;      /* with what children used that it waited for */
	uint64_t memory;        /* bytes, resident; what is shared counts for each */
	uint64_t started_usec;  /* CLOCK_REALTIME */
	uint64_t started_ticks; /* since boot: with the number, what tells it from a later one */
	Where where;
	char *cgroup; /* its path */
	char *command; /* arguments with blanks between them, or the name in brackets where there are none; not cleaned */
} Process;

typedef struct Processes {
	Process *items; /* by pid, ascending */
	size_t n;
} Processes;

/* The fields of /proc/PID/stat, times in clock ticks, memory in pages. Pure. Returns 0 or -EINVAL. */
typedef struct ProcessStat {
	pid_t pid, parent;
	char state;
	int terminal; /* 0: none */
	uint64_t cpu_ticks, started_ticks, pages;
	char name[64];
} ProcessStat;
_must_check_ int process_stat_parse(const char *text, ProcessStat *ret);

/* Those of `uid`. One that ends meanwhile is left out. Returns 0 or a negative errno. */
_must_check_ int processes_read(uid_t uid, Processes *ret);
void processes_done(Processes *processes);
#define _cleanup_processes_ _cleanup_(processes_done)

/* NULL when there is none. */
const Process *processes_find(const Processes *processes, pid_t pid);

/*
 * A descriptor for that very process (pidfd_open(2)), not for a later one of its number. -ESRCH: it is gone.
 */
_must_check_ int process_open(const Process *process);

/* Whose it is: 0, -ENOENT (there is none), or another negative errno. */
_must_check_ int process_owner(pid_t pid, uid_t *ret);

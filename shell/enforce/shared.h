/* SPDX-License-Identifier: MIT */
/* What creel-enforce and its programs in the kernel both know: the layout of the maps. Plain integers only. */
#pragma once

#include "shell/policy/executions.h"

#include <linux/types.h>

/* As in shell/policy/agents.h, which the programs cannot include; creel-enforce checks that they are the same. */
#define SHARED_UID_MIN 1000U
#define SHARED_UID_MAX 59999U

#define AGENTS_MAX 1024U /* as many as creel-generator takes */

/* ---- marks ---- */

/* Or'ed with the uid: the mark of an agent's sockets. */
#define SHARED_MARK 0x43000000U
/* And this: it was made in a cgroup of this name, by a run that may reach less than its agent. */
#define SHARED_MARK_RESTRICTED 0x00800000U
#define SHARED_RESTRICTED_LEAF "restricted"

/* ---- ports ---- */

#define PORT_RANGES_MAX 32U

struct port_range {
	__u16 first, last; /* both included, in the host's byte order */
};

/* Map `ports`, by uid. An agent without an entry may bind nothing that others reach. */
struct port_limits {
	__u32 n;     /* ranges in use */
	__u32 total; /* ports in them */
	struct port_range ranges[PORT_RANGES_MAX];
};

/* ---- services ---- */

/* Of one agent, to the sockets of systemd and of the system bus. */
#define SERVICE_CONNECTIONS 256U /* at a time: one for each service whose output goes to the journal */
#define SERVICE_WINDOW_SECONDS 10ULL
#define SERVICE_CONNECTS 2000U /* in a window */
#define SERVICE_NOTIFICATIONS 100U
#define SERVICE_MESSAGES 10000U /* more than the journal takes of one service (RateLimitBurst=) */
/* Of all agents; beyond that connections are refused. */
#define SERVICE_CONNECTIONS_MAX 65536U

/* Map `parts`, by uid; the programs make the entries. */
struct part {
	__u64 connections; /* at present */
	struct {
		__u64 since, n;
	} windows[3]; /* by Kind */
};

/* ---- cgroups ---- */

/* In an agent's slice, with those that were removed and still hold memory. */
#define CGROUPS_MAX 4096U
/* As many removed ones are let go of (cgroups.c). */
#define CGROUPS_RECLAIM 512U

/* ---- processes ---- */

/* Processes of all agents that can be counted at a time; beyond that forks are refused. */
#define PROCESSES_MAX 65536U
/* Of these, kept for processes that come into a slice without asking: births by a keeper, moves by root. */
#define PROCESSES_RESERVE 4096U
/* Forks that are under way at a time. */
#define FORKS_MAX 8192U
/* Cgroups of the second level whose names are remembered: of agents, other users, and the system's units. */
#define SLICES_MAX 1024U

#define PROCESSES_UNLIMITED (~(__u64)0)

/* Map `counts`, by uid: the programs alone write to it once it is there. */
struct process_count {
	__u64 count;   /* processes that live, and forks under way */
	__u64 refused; /* forks and executions, since the machine started */
};

/* Map `alive`: one entry a process that is counted. Removing it is what takes it off the count, so that happens once. */
struct process_key {
	__u64 signal; /* address of the kernel's signal_struct, which is the process for as long as a thread of it lives */
	__u64 uid;    /* whose slice it is counted in */
};

struct process_state {
	__u64 unchecked; /* it came without asking: asked at its next execution */
};

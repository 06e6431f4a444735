/* SPDX-License-Identifier: MIT */
/* Rows of the table of all that runs for an agent. */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* In the order of the table. */
typedef enum RowKind {
	ROW_SESSION, /* a login */
	ROW_JOB,
	ROW_SCREEN,
	ROW_SERVICE, /* any other unit of the user manager that has processes or failed */
	ROW_CRON,    /* a timer of an entry of the crontab, and what it started */
	ROW_TIMER,   /* any other */
	ROW_REPL,
	ROW_RUN,
	ROW_PROCESS, /* what a file in ~/pids names */
	ROW_STRAY,   /* what no other row explains */
	ROW_SYSTEM,  /* the user manager, and what belongs to it */
	ROW_KINDS_N,
} RowKind;

/* The narrowest first. */
typedef enum RowReach {
	REACH_LOOPBACK, /* from this machine alone */
	REACH_ADDRESS,  /* by way of one address */
	REACH_ANY,
} RowReach;

typedef struct RowPort {
	uint16_t port;
	RowReach reach;
} RowPort;

/* Strings are owned; NULL where there is nothing to say. Numbers that cannot be told are UINT64_MAX. */
typedef struct Row {
	RowKind kind;
	char *name;    /* what stop and logs take */
	char *unit;    /* of the user manager */
	char *command; /* not cleaned */
	char *health;  /* "ok", or what is wrong */
	char state[32];
	bool bad;  /* the state, or the health, is none to be happy with */
	pid_t pid; /* 0: none */
	pid_t *pids;
	size_t n_pids;
	uint64_t memory;               /* bytes */
	uint64_t cpu_usec;             /* used so far */
	uint64_t started_usec;         /* CLOCK_REALTIME */
	uint64_t next_usec, last_usec; /* CLOCK_REALTIME, of timers */
	RowPort *ports;
	size_t n_ports;
} Row;

typedef struct Rows {
	Row *items;
	size_t n;
} Rows;

const char *row_kind_name(RowKind kind);
/* Returns 0 or -EINVAL. */
_must_check_ int row_kind_parse(const char *name, RowKind *ret);

/* A new row at the end with a copy of `name`; it is good until the next one is added. NULL: memory is out. */
_must_check_ Row *rows_add(Rows *rows, RowKind kind, const char *name);
_must_check_ int row_add_pid(Row *row, pid_t pid);
/* Once each, ascending. */
_must_check_ int row_add_port(Row *row, uint16_t port, RowReach reach);
void rows_sort(Rows *rows);
void rows_done(Rows *rows);
#define _cleanup_rows_ _cleanup_(rows_done)

/* The process is one of the row's. */
bool row_has_pid(const Row *row, pid_t pid);

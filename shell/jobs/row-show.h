/* SPDX-License-Identifier: MIT */
/* Rows of the table of all that runs, for people and for programs. */
#pragma once

#include "shell/jobs/gather.h"

/* CPU time of an earlier look, by row; `at_usec` is CLOCK_MONOTONIC. */
typedef struct RowsBefore {
	Rows rows;
	uint64_t at_usec;
} RowsBefore;

/* What is shown: `kind` is one of RowKind or -1 for all but the system's, unless `all`. */
typedef struct RowsChoice {
	int kind;
	bool all;
} RowsChoice;

bool rows_chosen(const Row *row, const RowsChoice *choice);

/*
 * Percent of one processor since `before`, or -1: there is no earlier look, or the row was not in it, or it cannot be told.
 * `now_usec` as `at_usec`.
 */
double row_percent(const Row *row, const RowsBefore *before, uint64_t now_usec);

/* "3000", "3000 8000 (loopback)": in new memory, "" for none; NULL: memory is out. */
_must_check_ char *row_ports_text(const Row *row);

/*
 * A table as wide as the terminal behind `file`, of at most `lines` lines, of which the last says how many rows are left out; 0: all of
 * them. `before` may be NULL. Returns 0 or -ENOMEM.
 */
_must_check_ int rows_show(
	FILE *file, const Rows *rows, const RowsChoice *choice, const RowsBefore *before, size_t lines);

/* An array of objects, as in creel-ps(1). */
void rows_write(FILE *file, const Rows *rows, const RowsChoice *choice);

/* SPDX-License-Identifier: MIT */
/*
 * Tables for people: columns as wide as what is in them, lines no wider than the terminal. What others wrote is made fit to be
 * looked at (shell/tools/clean.h). Programs get JSON instead: shell/base/json.h.
 */
#pragma once

#include "shell/base/cleanup.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum TableColour {
	COLOUR_NONE,
	COLOUR_GOOD, /* green */
	COLOUR_BAD,  /* red */
	COLOUR_WARN, /* yellow */
	COLOUR_DIM,
	COLOUR_BOLD,
} TableColour;

typedef struct TableColumn {
	const char *title;
	bool right; /* numbers */
	bool cut;   /* may be shortened where the terminal is narrow, to as little as its title */
} TableColumn;

typedef struct Table Table;

/* `columns` must outlive the table. NULL when memory is out. */
_must_check_ Table *table_new(const TableColumn *columns, size_t n);
/* Accepts NULL. Returns NULL. */
Table *table_free(Table *table);
DEFINE_CLEANUP(Table, table_free)

/* One row, a cell each column; NULL and "" are shown as `-`. Copies. Returns 0 or -ENOMEM. */
_must_check_ int table_add(Table *table, const char *const *cells);
/* Of a cell of the row that was added last. */
void table_colour(Table *table, size_t column, TableColour colour);
size_t table_rows(const Table *table);

/* `width`: columns of the terminal, 0: without bound. Titles and rows; nothing is written where there is no row. */
void table_print(const Table *table, FILE *file, size_t width, bool colours);

/* Rows behind the first `n` are not printed. */
void table_cut(Table *table, size_t n);

/* Columns and lines of the terminal behind `file`; 0: there is none, or it does not say. */
size_t terminal_width(FILE *file);
size_t terminal_height(FILE *file);
/* It is a terminal that shows colours, and nobody objects: TERM is not `dumb`, NO_COLOR is not set. */
bool terminal_colours(FILE *file);
/* What begins that colour, or "" (`colours` is false); COLOUR_NONE ends any. */
const char *colour_code(TableColour colour, bool colours);
/* Columns that `text` takes: one a character; marks and what is not seen take none. */
size_t text_width(const char *text);

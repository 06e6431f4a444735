/* SPDX-License-Identifier: MIT */
/*
 * Numbers with labels, in the text format of Prometheus (prometheus.io, "Exposition formats"). Names, units and suffixes are by its
 * conventions: base units, _total for what only grows. Pure.
 */
#pragma once

#include "shell/base/str.h"

#include <stdint.h>

typedef enum SeriesType { SERIES_GAUGE, SERIES_COUNTER, SERIES_HISTOGRAM } SeriesType;

/* What one metric is. Rows of a table end with name = NULL. */
typedef struct Family {
	const char *name, *help;
	SeriesType type;
	bool usec; /* its values are microseconds here, and told in seconds; of a histogram, its sum and what it counts */
} Family;

typedef struct Series {
	char *key; /* NAME{LABEL="VALUE",...} */
	uint64_t value;
} Series;

/* Sorted by key. */
typedef struct SeriesTable {
	Series *items;
	size_t n, room;
} SeriesTable;

void series_done(SeriesTable *table);
#define _cleanup_series_ _cleanup_(series_done)

/* A label's value: what others wrote, of which nothing strange and nothing long stays. Returns `buffer`. */
#define SERIES_LABEL_SIZE 40
const char *series_label(const char *text, char buffer[static SERIES_LABEL_SIZE]);

/* `key` without a newline. Return 0 or -ENOMEM. */
_must_check_ int series_add(SeriesTable *table, uint64_t by, const char *key, ...) _printf_(3, 4);
_must_check_ int series_set(SeriesTable *table, uint64_t to, const char *key, ...) _printf_(3, 4);

/* Adds one observation of so many microseconds to the histogram `name` with these labels (LABEL="VALUE",...). */
_must_check_ int series_observe(SeriesTable *table, const char *name, const char *labels, uint64_t usec);

/* All of `table` that the families name, with HELP and TYPE. */
void series_print(FILE *file, const Family *families, const SeriesTable *table);

/* Lines "KEY VALUE", as series_store() writes them; lines that are none are left out. Return 0 or a negative errno. */
_must_check_ int series_load(SeriesTable *table, const char *text);
void series_store(FILE *file, const SeriesTable *table);

/* The value of `label` in a key; false where it has none. */
bool series_key_label(const char *key, const char *label, char buffer[static SERIES_LABEL_SIZE]);

/* Takes out what `keep` does not want. */
void series_filter(SeriesTable *table, bool (*keep)(const char *key, const void *data), const void *data);

/* SPDX-License-Identifier: MIT */
#include "shell/operator/series.h"

#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

/* Upper bounds of a histogram's buckets: from a command that says a word to a long build. */
static const struct {
	const char *text;
	uint64_t usec;
} buckets[] = {
	{ "0.005", 5000 },
	{ "0.01", 10000 },
	{ "0.025", 25000 },
	{ "0.05", 50000 },
	{ "0.1", 100000 },
	{ "0.25", 250000 },
	{ "0.5", 500000 },
	{ "1", 1000000 },
	{ "2.5", 2500000 },
	{ "5", 5000000 },
	{ "10", 10000000 },
	{ "60", 60000000 },
	{ "300", 300000000 },
	{ "+Inf", UINT64_MAX },
};

#define SECOND UINT64_C(1000000)

void series_done(SeriesTable *table)
{
	for (size_t i = 0; i < table->n; i++)
		free(table->items[i].key);
	free(table->items);
	*table = (SeriesTable){ 0 };
}

const char *series_label(const char *text, char buffer[static SERIES_LABEL_SIZE])
{
	size_t n = strlen(text);

	if (n >= SERIES_LABEL_SIZE ||
		strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") != n)
		text = "other";
	(void)snprintf(buffer, SERIES_LABEL_SIZE, "%s", text);
	return buffer;
}

/* ---- the table ---- */

/* Where `key` is, or would be. */
static size_t position(const SeriesTable *table, const char *key, bool *ret_found)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int c = strcmp(table->items[middle].key, key);

		if (c == 0) {
			*ret_found = true;
			return middle;
		}
		if (c < 0)
			low = middle + 1;
		else
			high = middle;
	}
	*ret_found = false;
	return low;
}

/* Takes `key`; NULL is -ENOMEM. */
static int slot_of(SeriesTable *table, char *key, Series **ret)
{
	bool found;
	size_t at;

	if (!key)
		return -ENOMEM;
	at = position(table, key, &found);
	if (found) {
		free(key);
		*ret = &table->items[at];
		return 0;
	}
	if (table->n == table->room) {
		size_t room = table->room ? table->room * 2 : 64;
		Series *items = reallocarray(table->items, room, sizeof(*items));

		if (!items) {
			free(key);
			return -ENOMEM;
		}
		table->items = items;
		table->room = room;
	}
	memmove(table->items + at + 1, table->items + at, (table->n - at) * sizeof(*table->items));
	table->items[at] = (Series){ .key = key };
	table->n++;
	*ret = &table->items[at];
	return 0;
}

static int slot_named(SeriesTable *table, Series **ret, const char *key, va_list arguments)
{
	char *made = NULL;

	if (vasprintf(&made, key, arguments) < 0)
		return -ENOMEM;
	return slot_of(table, made, ret);
}

int series_add(SeriesTable *table, uint64_t by, const char *key, ...)
{
	Series *series;
	va_list arguments;
	int r;

	va_start(arguments, key);
	r = slot_named(table, &series, key, arguments);
	va_end(arguments);
	if (r == 0 && __builtin_add_overflow(series->value, by, &series->value))
		series->value = UINT64_MAX;
	return r;
}

int series_set(SeriesTable *table, uint64_t to, const char *key, ...)
{
	Series *series;
	va_list arguments;
	int r;

	va_start(arguments, key);
	r = slot_named(table, &series, key, arguments);
	va_end(arguments);
	if (r == 0)
		series->value = to;
	return r;
}

int series_observe(SeriesTable *table, const char *name, const char *labels, uint64_t usec)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ELEMENTSOF(buckets); i++)
		r = series_add(
			table, usec <= buckets[i].usec, "%s_bucket{%s,le=\"%s\"}", name, labels, buckets[i].text);
	if (r == 0)
		r = series_add(table, usec, "%s_sum{%s}", name, labels);
	return r == 0 ? series_add(table, 1, "%s_count{%s}", name, labels) : r;
}

void series_filter(SeriesTable *table, bool (*keep)(const char *key, const void *data), const void *data)
{
	size_t n = 0;

	for (size_t i = 0; i < table->n; i++) {
		if (keep(table->items[i].key, data))
			table->items[n++] = table->items[i];
		else
			free(table->items[i].key);
	}
	table->n = n;
}

bool series_key_label(const char *key, const char *label, char buffer[static SERIES_LABEL_SIZE])
{
	const size_t n = strlen(label);

	for (const char *at = strpbrk(key, "{"); at; at = strchr(at, ',')) {
		at++;
		if (strncmp(at, label, n) == 0 && at[n] == '=' && at[n + 1] == '"') {
			(void)snprintf(buffer, SERIES_LABEL_SIZE, "%.*s", (int)strcspn(at + n + 2, "\""), at + n + 2);
			return true;
		}
	}
	return false;
}

/* ---- text ---- */

static void print_value(FILE *file, const char *key, uint64_t value, bool usec)
{
	if (usec)
		(void)fprintf(file, "%s %" PRIu64 ".%06" PRIu64 "\n", key, value / SECOND, value % SECOND);
	else
		(void)fprintf(file, "%s %" PRIu64 "\n", key, value);
}

/* What is behind the name, in the first series from `from` on that is called NAME SUFFIX; NULL: there is none. */
static const char *labels_of(const SeriesTable *table, size_t *from, const char *name, const char *suffix)
{
	const size_t name_n = strlen(name), n = strlen(suffix);

	for (; *from < table->n; ++*from) {
		const char *key = table->items[*from].key;

		if (strncmp(key, name, name_n) == 0 && strncmp(key + name_n, suffix, n) == 0 &&
			(key[name_n + n] == '{' || !key[name_n + n]))
			return key + name_n + n;
	}
	return NULL;
}

/* Buckets in their order: of the series with these labels in braces. */
static void print_histogram(FILE *file, const SeriesTable *table, const char *name, const char *labels)
{
	const int n = (int)strlen(labels) - 2;
	static const char *const ends[] = { "sum", "count" };
	char key[512];
	bool found;
	size_t at;

	for (size_t i = 0; i < ELEMENTSOF(buckets); i++) {
		(void)snprintf(key, sizeof(key), "%s_bucket{%.*s,le=\"%s\"}", name, n, labels + 1, buckets[i].text);
		at = position(table, key, &found);
		print_value(file, key, found ? table->items[at].value : 0, false);
	}
	for (size_t i = 0; i < ELEMENTSOF(ends); i++) {
		(void)snprintf(key, sizeof(key), "%s_%s%s", name, ends[i], labels);
		at = position(table, key, &found);
		print_value(file, key, found ? table->items[at].value : 0, i == 0);
	}
}

static void print_family(FILE *file, const Family *family, const SeriesTable *table)
{
	static const char *const types[] = { "gauge", "counter", "histogram" };
	const char *suffix = family->type == SERIES_HISTOGRAM ? "_count" : "", *labels;
	bool first = true;

	for (size_t i = 0; (labels = labels_of(table, &i, family->name, suffix)); i++) {
		if (first)
			(void)fprintf(file, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
				types[family->type]);
		first = false;
		if (family->type == SERIES_HISTOGRAM)
			print_histogram(file, table, family->name, labels);
		else
			print_value(file, table->items[i].key, table->items[i].value, family->usec);
	}
}

void series_print(FILE *file, const Family *families, const SeriesTable *table)
{
	for (; families->name; families++)
		print_family(file, families, table);
}

void series_store(FILE *file, const SeriesTable *table)
{
	for (size_t i = 0; i < table->n; i++)
		print_value(file, table->items[i].key, table->items[i].value, false);
}

static int load_line(SeriesTable *table, const char *line, size_t n)
{
	const char *space = memrchr(line, ' ', n);
	char number[24];
	uint64_t value;

	if (!space || space == line)
		return 0;
	(void)snprintf(number, sizeof(number), "%.*s", (int)(n - (size_t)(space - line) - 1), space + 1);
	if (strncmp(line, "creel_", 6) != 0 || str_to_u64(number, UINT64_MAX, &value) < 0)
		return 0;
	return series_set(table, value, "%.*s", (int)(space - line), line);
}

int series_load(SeriesTable *table, const char *text)
{
	int r = 0;

	while (r == 0 && *text) {
		size_t n = strcspn(text, "\n");

		r = load_line(table, text, n);
		text += n + (text[n] == '\n');
	}
	return r;
}

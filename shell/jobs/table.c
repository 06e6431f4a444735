/* SPDX-License-Identifier: MIT */
#include "shell/jobs/table.h"
#include "shell/tools/clean.h"
#include "shell/tools/unicode.h"

#include <string.h>
#include <sys/ioctl.h>

#define GAP 2U /* blanks between columns */

typedef struct Cell {
	char *text;
	TableColour colour;
} Cell;

struct Table {
	const TableColumn *columns;
	size_t n;    /* columns */
	Cell *cells; /* row by row */
	size_t rows;
};

/* ---- terminals ---- */

size_t terminal_width(FILE *file)
{
	struct winsize size;

	if (!isatty(fileno(file)) || ioctl(fileno(file), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_col;
}

size_t terminal_height(FILE *file)
{
	struct winsize size;

	if (!isatty(fileno(file)) || ioctl(fileno(file), TIOCGWINSZ, &size) < 0)
		return 0;
	return size.ws_row;
}

bool terminal_colours(FILE *file)
{
	const char *term = getenv("TERM"), *no_color = getenv("NO_COLOR");

	return isatty(fileno(file)) && !(no_color && *no_color) && term && *term && strcmp(term, "dumb") != 0;
}

const char *colour_code(TableColour colour, bool colours)
{
	static const char *const codes[] = {
		[COLOUR_NONE] = "\033[0m",
		[COLOUR_GOOD] = "\033[32m",
		[COLOUR_BAD] = "\033[31m",
		[COLOUR_WARN] = "\033[33m",
		[COLOUR_DIM] = "\033[2m",
		[COLOUR_BOLD] = "\033[1m",
	};

	return colours ? codes[colour] : "";
}

size_t text_width(const char *text)
{
	size_t n = strlen(text), width = 0, length;
	uint32_t character;

	for (size_t i = 0; i < n; i += length) {
		length = unicode_read(text + i, n - i, &character);
		width += !unicode_is_mark(character) && !unicode_is_invisible(character);
	}
	return width;
}

/* ---- rows ---- */

Table *table_new(const TableColumn *columns, size_t n)
{
	Table *table = calloc(1, sizeof(*table));

	if (table) {
		table->columns = columns;
		table->n = n;
	}
	return table;
}

Table *table_free(Table *table)
{
	if (!table)
		return NULL;
	for (size_t i = 0; i < table->rows * table->n; i++)
		free(table->cells[i].text);
	free(table->cells);
	free(table);
	return NULL;
}

int table_add(Table *table, const char *const *cells)
{
	Cell *grown = reallocarray(table->cells, (table->rows + 1) * table->n, sizeof(*grown)), *row;

	if (!grown)
		return -ENOMEM;
	table->cells = grown;
	row = grown + table->rows * table->n;
	memset(row, 0, table->n * sizeof(*row));
	for (size_t i = 0; i < table->n; i++) {
		const char *text = cells[i] && *cells[i] ? cells[i] : "-";
		size_t n;

		if (text_clean(text, strlen(text), true, &row[i].text, &n) < 0) {
			while (i)
				free(row[--i].text);
			return -ENOMEM;
		}
	}
	table->rows++;
	return 0;
}

void table_colour(Table *table, size_t column, TableColour colour)
{
	table->cells[(table->rows - 1) * table->n + column].colour = colour;
}

size_t table_rows(const Table *table)
{
	return table->rows;
}

void table_cut(Table *table, size_t n)
{
	for (; table->rows > n; table->rows--)
		for (size_t i = 0; i < table->n; i++)
			free(table->cells[(table->rows - 1) * table->n + i].text);
}

/* ---- printing ---- */

/* Bytes of `text` that take at most `width` columns, and how many those take. */
static size_t bytes_within(const char *text, size_t width, size_t *ret_width)
{
	size_t n = strlen(text), i = 0, used = 0;

	while (i < n) {
		uint32_t character;
		size_t length = unicode_read(text + i, n - i, &character);
		size_t columns = !unicode_is_mark(character) && !unicode_is_invisible(character);

		if (used + columns > width)
			break;
		used += columns;
		i += length;
	}
	*ret_width = used;
	return i;
}

static void print_cell(FILE *file, const TableColumn *column, const char *text, TableColour colour, size_t width,
	bool last, bool colours)
{
	size_t full = text_width(text), used = full, n = strlen(text), blanks;
	const char *end = "";

	if (full > width) {
		end = width > 1 ? "~" : "";
		n = bytes_within(text, width > 1 ? width - 1 : width, &used);
		used += strlen(end);
	}
	blanks = width - used;
	if (column->right)
		(void)fprintf(file, "%*s", (int)blanks, "");
	(void)fprintf(file, "%s%.*s%s%s", colour ? colour_code(colour, colours) : "", (int)n, text, end,
		colour ? colour_code(COLOUR_NONE, colours) : "");
	if (!last)
		(void)fprintf(file, "%*s", (int)((column->right ? 0 : blanks) + GAP), "");
}

/* What is too wide is taken from those columns that may be cut, always from the widest. */
static void fit(const Table *table, size_t *widths, size_t width)
{
	for (;;) {
		size_t total = (table->n - 1) * GAP, widest = table->n;

		for (size_t i = 0; i < table->n; i++) {
			total += widths[i];
			if (table->columns[i].cut && widths[i] > text_width(table->columns[i].title) &&
				(widest == table->n || widths[i] > widths[widest]))
				widest = i;
		}
		if (total <= width || widest == table->n)
			return;
		widths[widest]--;
	}
}

void table_print(const Table *table, FILE *file, size_t width, bool colours)
{
	_cleanup_free_ size_t *widths = calloc(table->n, sizeof(*widths));

	if (!widths || !table->rows)
		return;
	for (size_t i = 0; i < table->n; i++) {
		widths[i] = text_width(table->columns[i].title);
		for (size_t row = 0; row < table->rows; row++) {
			size_t cell = text_width(table->cells[row * table->n + i].text);

			widths[i] = cell > widths[i] ? cell : widths[i];
		}
	}
	if (width)
		fit(table, widths, width);
	for (size_t i = 0; i < table->n; i++)
		print_cell(file, &table->columns[i], table->columns[i].title, COLOUR_BOLD, widths[i], i + 1 == table->n,
			colours);
	(void)fputc('\n', file);
	for (size_t row = 0; row < table->rows; row++) {
		for (size_t i = 0; i < table->n; i++) {
			const Cell *cell = &table->cells[row * table->n + i];

			print_cell(file, &table->columns[i], cell->text, cell->colour, widths[i], i + 1 == table->n,
				colours);
		}
		(void)fputc('\n', file);
	}
}

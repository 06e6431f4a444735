/* SPDX-License-Identifier: MIT */
#include "shell/jobs/script-scan.h"

#include <string.h>

static bool holds(const char *line, size_t n, const char *what)
{
	return memmem(line, n, what, strlen(what)) != NULL;
}

/* `line` begins behind its blanks. */
static bool imports_pyplot(const char *line, size_t n)
{
	bool import = n > 7 && memcmp(line, "import ", 7) == 0, from = n > 5 && memcmp(line, "from ", 5) == 0;

	if (import)
		return holds(line, n, "matplotlib.pyplot") || holds(line, n, "pylab");
	return from && (holds(line, n, "matplotlib.pyplot import") || holds(line, n, "pylab import") ||
			       (holds(line, n, "matplotlib import") && holds(line, n, "pyplot")));
}

static bool names_backend(const char *line, size_t n)
{
	return holds(line, n, "matplotlib.use(") || holds(line, n, "mpl.use(") || holds(line, n, "switch_backend(") ||
	       holds(line, n, "MPLBACKEND") || holds(line, n, "rcParams['backend']") ||
	       holds(line, n, "rcParams[\"backend\"]");
}

bool script_lacks_backend(const char *text, size_t n)
{
	bool imported = false;

	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t line_n = end ? (size_t)(end - text) : n, blanks = 0;
		const char *comment = memchr(text, '#', line_n);
		size_t code_n = comment ? (size_t)(comment - text) : line_n;

		while (blanks < code_n && (text[blanks] == ' ' || text[blanks] == '\t'))
			blanks++;
		if (names_backend(text, code_n))
			return false;
		imported = imported || imports_pyplot(text + blanks, code_n - blanks);
		text += line_n;
		n -= line_n;
		if (n) {
			text++;
			n--;
		}
	}
	return imported;
}
